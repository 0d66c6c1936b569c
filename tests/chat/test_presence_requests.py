"""Presence: what may be asked of it, and the status that users choose."""

import pytest

from hubbub.chat.presence import PresenceRules
from hubbub.cluster.base import ToEveryone
from hubbub.contract.errors import Code, RequestError
from hubbub.contract.events import UserStatusChanged
from hubbub.contract.requests import OnlineUsers
from hubbub.contract.values import Status, iso
from tests.chat.presence_house import NAMES, House


@pytest.fixture
def house() -> House:
    """One with the documented rules."""
    return House()


async def test_a_new_status_is_told_to_all(house: House) -> None:
    """`user:status-changed` goes to everybody, the user included, with the old and the new status."""
    ada = await house.come("ada")
    house.bus.take()
    answer = await house.presence.update_status(ada, Status.AWAY)
    assert answer.message == "Status updated successfully"
    (telling,) = house.bus.take()
    assert isinstance(telling, ToEveryone)
    assert telling.skip_user is None
    event = telling.event
    assert isinstance(event, UserStatusChanged)
    assert (event.user_id, event.username) == ("ada", "Ada")
    assert (event.status, event.old_status, event.new_status) == ("away", "online", "away")
    assert event.last_seen.endswith("Z")


async def test_the_same_status_is_no_news(house: House) -> None:
    """Setting the status that is set succeeds and tells nobody anything."""
    ada = await house.come("ada")
    house.bus.take()
    await house.presence.update_status(ada, Status.ONLINE)
    assert house.bus.take() == []


async def test_the_status_is_the_users_not_the_sockets(house: House) -> None:
    """All sockets of a user have one status."""
    ada, ada_too = await house.come("ada"), await house.come("ada")
    await house.presence.update_status(ada, Status.BUSY)
    await house.presence.disconnected(ada)
    assert (await house.status(ada_too, "ada")).status == "busy"


async def test_the_online_list_pages_through_everybody(house: House) -> None:
    """Every user comes once, whatever the page's length; the last page says that it is."""
    for name in reversed(NAMES):
        await house.come(name)
    for limit in (1, 2, 4, 5, 6):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await house.presence.online_users(OnlineUsers(limit=limit, cursor=cursor))
            seen += [user.user_id for user in page.users]
            cursor = page.next_cursor
            if cursor is None:
                break
            assert len(page.users) == limit
        assert seen == list(NAMES)


async def test_a_bad_cursor_is_refused(house: House) -> None:
    """A cursor that no page has given out is an invalid request."""
    with pytest.raises(RequestError) as refusal:
        await house.presence.online_users(OnlineUsers(cursor="not one"))
    assert refusal.value.code == Code.INVALID_REQUEST


async def test_what_is_personal_is_for_the_user_and_admins(house: House) -> None:
    """Others get every key, with null in the personal ones."""
    ada, bob, root = await house.come("ada"), await house.come("bob"), await house.come("eve", role="admin")
    told = await house.status(bob, "ada")
    assert (told.user_id, told.username, told.status) == ("ada", "Ada", "online")
    assert (told.email, told.socket_id, told.user_agent, told.ip_address) == (None,) * 4
    assert told.last_seen is not None
    assert told.connected_at is not None
    for asker in (ada, root):
        whole = await house.status(asker, "ada")
        assert (whole.email, whole.socket_id) == ("ada@example.com", ada.socket_id)
        assert (whole.user_agent, whole.ip_address) == (ada.user_agent, ada.address)


async def test_details_may_be_open_to_everybody() -> None:
    """The setting lifts the restriction."""
    house = House(PresenceRules(open_details=True))
    await house.come("ada")
    told = await house.status(await house.come("bob"), "ada")
    assert told.email == "ada@example.com"
    assert told.ip_address is not None


async def test_an_absent_user_is_offline(house: House) -> None:
    """Known from the store: offline, last seen when the last socket went, everything else null."""
    bob = await house.come("bob")
    never = await house.status(bob, "ada")
    assert (never.status, never.last_seen, never.connected_at) == ("offline", None, None)
    await house.presence.disconnected(await house.come("ada"))
    await house.timers.advance(3.0)
    gone = await house.status(bob, "ada")
    seen = house.directory.users["ada"].last_seen
    assert seen is not None
    assert (gone.status, gone.last_seen, gone.connected_at, gone.email) == ("offline", iso(seen), None, None)


async def test_an_unknown_user_is_not_found(house: House) -> None:
    """Nobody of that id is registered."""
    with pytest.raises(RequestError) as refusal:
        await house.status(await house.come("bob"), "nobody")
    assert (refusal.value.message, refusal.value.code) == ("User not found", Code.NOT_FOUND)


async def test_the_statistics_add_up(house: House) -> None:
    """The four statuses add up to all registered users."""
    await house.come("ada")
    await house.presence.update_status(await house.come("bob"), Status.AWAY)
    await house.presence.update_status(await house.come("cid"), Status.BUSY)
    stats = (await house.presence.stats()).stats
    assert (stats.online_users, stats.away_users, stats.busy_users, stats.offline_users) == (1, 1, 1, 2)
    assert stats.total_users == 5
