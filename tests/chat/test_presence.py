"""Presence: who is told that somebody came or went."""

import logging

import pytest

from hubbub.chat.presence import PresenceRules
from hubbub.cluster.base import Telling, ToEveryone, ToUsers
from hubbub.contract.events import UserOffline, UserOnline, UserStatusChanged
from hubbub.contract.requests import OnlineUsers
from hubbub.contract.values import Status, iso, now
from hubbub.store.base import StoreUnavailable
from tests.chat.fakes import connection
from tests.chat.presence_house import NAMES, House, names


@pytest.fixture
def house() -> House:
    """One with the documented rules."""
    return House()


@pytest.fixture
def narrow() -> House:
    """Where more than two are a crowd; ada, bob and cid share a chat, dan and eve another."""
    house = House(PresenceRules(broadcast_limit=2))
    house.directory.shared = [{"ada", "bob", "cid"}, {"dan", "eve"}]
    return house


# Coming and going.


async def test_the_first_socket_is_told_to_all_others(house: House) -> None:
    """`user:online` goes to everybody but the user; a second socket tells nobody anything."""
    who = await house.come("ada")
    (telling,) = house.bus.take()
    assert isinstance(telling, ToEveryone)
    assert telling.skip_user == "ada"
    event = telling.event
    assert isinstance(event, UserOnline)
    assert (event.user_id, event.username, event.status) == ("ada", "Ada", "online")
    assert event.last_seen == iso(who.connected_at)
    assert event.timestamp.endswith("Z")
    await house.come("ada")
    assert house.bus.take() == []


async def test_a_socket_is_told_who_is_there(house: House) -> None:
    """`users:online` lists everybody present, the socket's own user included."""
    await house.come("bob")
    online = await house.presence.connected(connection("ada"))
    assert names(online) == ["ada", "bob"]
    assert (online.count, online.scope, online.truncated) == (2, "all", False)
    assert (online.users[1].username, online.users[1].status) == ("Bob", "online")


async def test_the_list_shows_every_change(house: House) -> None:
    """A list made a moment after another one has the new status and last activity in it."""
    ada = await house.come("ada")
    await house.presence.update_status(ada, Status.BUSY)
    first = await house.presence.connected(connection("bob"))
    assert first.users[0].status == "busy"
    await house.presence.update_status(ada, Status.AWAY)
    house.presence.touch(ada, now())
    second = await house.presence.connected(connection("cid"))
    assert second.users[0].status == "away"
    assert second.users[0].last_seen > first.users[0].last_seen


async def test_a_cut_list_still_has_the_user_in_it() -> None:
    """Beyond the limit the list is cut and says so; `count` is whole, and the socket finds itself."""
    house = House(PresenceRules(list_limit=2))
    for name in ("cid", "dan", "bob"):
        await house.come(name)
    last = await house.presence.connected(connection("eve"))
    assert (names(last), last.count, last.truncated) == (["bob", "eve"], 4, True)
    first = await house.presence.connected(connection("ada"))
    assert (names(first), first.count, first.truncated) == (["ada", "bob"], 5, True)


async def test_going_offline_is_told_after_the_grace(house: House) -> None:
    """2 s after the last socket went, once, to all others; the store remembers when the user was seen."""
    ada, ada_too = await house.come("ada"), await house.come("ada")
    house.bus.take()
    await house.presence.disconnected(ada)
    await house.timers.advance(10.0)
    assert house.bus.take() == []
    left_at = now()
    await house.presence.disconnected(ada_too)
    await house.timers.advance(1.9)
    assert house.bus.take() == []
    await house.timers.advance(0.2)
    (telling,) = house.bus.take()
    assert isinstance(telling, ToEveryone)
    assert telling.skip_user == "ada"
    event = telling.event
    assert isinstance(event, UserOffline)
    assert (event.user_id, event.username, event.status) == ("ada", "Ada", "offline")
    seen = house.directory.users["ada"].last_seen
    assert seen is not None
    assert left_at <= seen <= now()
    assert event.last_seen == iso(seen)
    await house.timers.advance(10.0)
    assert house.bus.take() == []


async def test_a_return_within_the_grace_is_no_news(house: House) -> None:
    """A page reload tells nobody anything, and the grace of the next absence starts anew."""
    ada = await house.come("ada")
    await house.presence.update_status(ada, Status.AWAY)
    house.bus.take()
    await house.presence.disconnected(ada)
    await house.timers.advance(1.5)
    ada = await house.come("ada")
    await house.timers.advance(1.0)
    await house.presence.disconnected(ada)
    await house.timers.advance(1.5)
    assert house.bus.take() == []
    assert (await house.status(ada, "ada")).status == "away"
    await house.timers.advance(1.0)
    assert [type(event) for event in house.bus.take_events()] == [UserOffline]


async def test_a_user_in_the_grace_counts_as_online(house: House) -> None:
    """Lists, statistics and status go on showing the user until the grace is over."""
    bob, ada = await house.come("bob"), await house.come("ada")
    await house.presence.update_status(ada, Status.BUSY)
    await house.presence.disconnected(ada)
    assert (await house.status(bob, "ada")).status == "busy"
    assert (await house.presence.stats()).stats.busy_users == 1
    assert len((await house.presence.online_users(OnlineUsers())).users) == 2
    await house.timers.advance(3.0)
    assert (await house.status(bob, "ada")).status == "offline"
    assert len((await house.presence.online_users(OnlineUsers())).users) == 1


async def test_a_returning_user_is_online_again(house: House) -> None:
    """The status lasts until the user goes offline; the next time begins with `online`, and is told."""
    ada = await house.come("ada")
    await house.presence.update_status(ada, Status.AWAY)
    await house.presence.disconnected(ada)
    await house.timers.advance(3.0)
    house.bus.take()
    ada = await house.come("ada")
    assert [type(event) for event in house.bus.take_events()] == [UserOnline]
    assert (await house.status(ada, "ada")).status == "online"


async def test_a_socket_that_never_came_cannot_go(house: House) -> None:
    """Clearing away twice, or what never arrived, tells nobody anything."""
    ada = await house.come("ada")
    house.bus.take()
    await house.presence.disconnected(connection("ada"))
    await house.presence.disconnected(connection("bob"))
    await house.timers.advance(5.0)
    assert house.bus.take() == []
    assert (await house.status(ada, "ada")).status == "online"


async def test_closing_lets_everybody_go_at_once(house: House) -> None:
    """At the end the store remembers those too whose grace was running; no timer is left."""
    ada = await house.come("ada")
    await house.presence.disconnected(ada)
    await house.presence.close()
    assert house.directory.users["ada"].last_seen is not None
    assert house.timers.pending == 0


async def test_a_failing_store_hinders_nobody(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Who goes while the database is away is told to be offline all the same; one line each, no traceback."""
    house.directory.error = StoreUnavailable("the disk is full")
    for who in [await house.come(name) for name in ("ada", "bob")]:
        await house.presence.disconnected(who)
    house.bus.take()
    with caplog.at_level(logging.WARNING):
        await house.timers.advance(3.0)
    assert [type(event) for event in house.bus.take_events()] == [UserOffline, UserOffline]
    assert [record.exc_info for record in caplog.records] == [None, None]


async def test_a_defect_of_the_store_leaves_no_ghosts(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong with remembering, users go offline; a defect is logged with its traceback."""
    ada = await house.come("ada")
    house.directory.error = ValueError("a defect")
    house.bus.take()
    await house.presence.disconnected(ada)
    with caplog.at_level(logging.ERROR):
        await house.timers.advance(3.0)
    assert [type(event) for event in house.bus.take_events()] == [UserOffline]
    assert await house.registry.count_users() == 0
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_the_time_is_remembered_before_others_are_told(house: House) -> None:
    """Who hears `user:offline` and asks at once is told when the user was last seen."""
    ada = await house.come("ada")
    remembered: list[int | None] = []

    def ask(telling: Telling) -> None:
        remembered.append(house.directory.users["ada"].last_seen)

    house.bus.subscribe(ask)
    await house.presence.disconnected(ada)
    await house.timers.advance(3.0)
    assert len(remembered) == 1
    assert remembered[0] is not None


async def test_many_users_leave_one_timer_and_nothing_behind(house: House) -> None:
    """250 users going at once need one timer; afterwards neither users nor timers are left."""
    people = [f"user {number}" for number in range(250)]
    for name in people:
        house.directory.add(name)
    sockets = [await house.come(name) for name in people]
    for who in sockets:
        await house.presence.disconnected(who)
    assert house.timers.pending == 1
    await house.timers.advance(3.0)
    assert await house.registry.count_users() == 0
    assert house.timers.pending == 0
    assert all(house.directory.users[name].last_seen is not None for name in people)


# Beyond the threshold.


async def test_beyond_the_threshold_only_contacts_are_told(narrow: House) -> None:
    """Above the limit, coming, going and statuses are told to those who share a chat, and to no one else."""
    ada, _ = await narrow.come("ada"), await narrow.come("bob")
    assert all(isinstance(telling, ToEveryone) for telling in narrow.bus.take())
    cid = await narrow.come("cid")
    await narrow.come("dan")
    coming = narrow.bus.take()
    assert [telling.user_ids for telling in coming if isinstance(telling, ToUsers)] == [
        frozenset({"ada", "bob"}),
        frozenset({"eve"}),
    ]
    await narrow.presence.update_status(ada, Status.AWAY)
    (changed,) = narrow.bus.take()
    assert isinstance(changed, ToUsers)
    assert changed.user_ids == {"ada", "bob", "cid"}
    assert isinstance(changed.event, UserStatusChanged)
    await narrow.presence.disconnected(cid)
    await narrow.timers.advance(3.0)
    (going,) = narrow.bus.take()
    assert isinstance(going, ToUsers)
    assert going.user_ids == {"ada", "bob"}
    assert isinstance(going.event, UserOffline)


async def test_beyond_the_threshold_the_list_shows_contacts(narrow: House) -> None:
    """`users:online` lists those present who share a chat, counts them, and says so."""
    for name in ("ada", "bob", "dan"):
        await narrow.come(name)
    online = await narrow.presence.connected(connection("cid"))
    assert (names(online), online.count, online.scope) == (["ada", "bob", "cid"], 3, "chats")
    assert not online.truncated


async def test_beyond_the_threshold_a_cut_list_still_has_the_user_in_it() -> None:
    """Cut to the limit, counted whole, with the user."""
    house = House(PresenceRules(broadcast_limit=1, list_limit=2))
    house.directory.shared = [set(NAMES)]
    for name in ("ada", "bob", "cid"):
        await house.come(name)
    online = await house.presence.connected(connection("eve"))
    assert (names(online), online.count, online.truncated) == (["ada", "eve"], 4, True)


async def test_somebody_without_chats_tells_nobody(narrow: House) -> None:
    """A user who shares no chat is listed alone, and nothing is published."""
    narrow.directory.add("zoe")
    for name in ("ada", "bob"):
        await narrow.come(name)
    narrow.bus.take()
    online = await narrow.presence.connected(connection("zoe"))
    assert (names(online), online.count) == (["zoe"], 1)
    assert narrow.bus.take() == []


async def test_contacts_that_cannot_be_read_keep_nobody_out(
    narrow: House, caplog: pytest.LogCaptureFixture
) -> None:
    """When the database is away a socket still gets in, and is told of itself."""
    for name in ("ada", "bob"):
        await narrow.come(name)
    narrow.directory.error = StoreUnavailable("the disk is full")
    with caplog.at_level(logging.WARNING):
        online = await narrow.presence.connected(connection("cid"))
    assert names(online) == ["cid"]
