"""Presence: who is here, who is told, and what may be seen of others (contract, section 5)."""

import time

from tests.api import objects
from tests.api.conftest import SMALL_ROOMS, Worlds
from tests.harness.clients import Client, Json, settle
from tests.harness.inbox import watch
from tests.harness.shapes import COUNT, TEXT, TIME, check, one_of
from tests.harness.users import User, new_user
from tests.harness.world import World

GRACE = 2.0
PRIVATE = ("email", "socketId", "userAgent", "ipAddress")

USERS_ONLINE = {
    "users": [objects.ONLINE_USER],
    "count": COUNT,
    "timestamp": TIME,
    "scope?": "all",
    "truncated?": True,
}


async def presence_of(asker: Client, user: User) -> Json:
    """What that asker sees of that user."""
    seen: Json = (await asker.done("presence:user-status", {"userId": user.id}))["presence"]
    return seen


async def facts_of(asker: Client, user: User) -> Json:
    """The same without `lastSeen`, which every request of the user moves."""
    presence = await presence_of(asker, user)
    check(presence.pop("lastSeen"), TIME)
    return presence


async def test_users_online(world: World, mode: str) -> None:
    """A socket that connects is told who is here, itself included."""
    peer = await world.connect()
    client = await world.connect(mode=mode)
    told = await client.wait("users:online")
    check(told, USERS_ONLINE)
    assert {peer.user.id, client.user.id} <= {user["userId"] for user in told["users"]}
    assert told["count"] == len(told["users"])
    await settle(client, peer)
    assert len(client.seen("users:online")) == 1
    assert len(peer.seen("users:online")) == 1


async def test_first_100(world_with: Worlds) -> None:
    """Past the limit the list is cut and says so, while `count` stays true."""
    world = await world_with(**SMALL_ROOMS)
    clients = [await world.connect() for _ in range(5)]
    told = await clients[4].wait("users:online")
    check(told, {**USERS_ONLINE, "truncated": True})
    assert len(told["users"]) == 3
    assert told["count"] >= 5


async def test_coming_and_going(world: World) -> None:
    """`user:online` comes with the first socket, `user:offline` 2 s after the last; to all others."""
    watcher = await world.connect()
    user = new_user()
    first = await world.connect(user)
    told = await watcher.wait("user:online", userId=user.id)
    check(told, objects.presence_told(user, "online"))
    second = await world.connect(user)
    await first.disconnect()
    await watch(GRACE + 0.5)
    await second.disconnect()
    since = time.monotonic()
    told = await watcher.wait("user:offline", userId=user.id)
    assert GRACE - 0.3 <= time.monotonic() - since <= GRACE + 2
    check(told, objects.presence_told(user, "offline"))
    of_user = [told for told in watcher.seen("user:online") if told["userId"] == user.id]
    assert len(of_user) == 1
    for socket in (first, second):
        assert [told for told in socket.seen("user:online") if told["userId"] == user.id] == []


async def test_a_reload_is_no_outage(world: World) -> None:
    """Who is back within the grace was never gone: nobody is told anything, and the status stays."""
    watcher = await world.connect()
    user = new_user()
    first = await world.connect(user)
    await first.done("presence:update-status", {"status": "busy"})
    await watcher.wait("user:status-changed", userId=user.id)
    watcher.forget()
    await first.disconnect()
    again = await world.connect(user)
    await watch(GRACE + 0.5)
    await settle(watcher)
    names = ("user:online", "user:offline", "user:status-changed")
    assert [told for name in names for told in watcher.seen(name) if told["userId"] == user.id] == []
    assert (await presence_of(again, user))["status"] == "busy"


async def test_status(world: World) -> None:
    """Each status is told to everybody with the one before; the same again succeeds and tells nothing."""
    watcher = await world.connect()
    user = new_user()
    client, other = await world.connect_all(user, user)
    old = "online"
    for new in ("away", "busy", "online"):
        for client_of_user in (client, other):
            await client_of_user.done("presence:update-status", {"status": new})
        told = await watcher.wait("user:status-changed", userId=user.id, newStatus=new)
        check(told, objects.status_change(user, old, new))
        old = new
    await settle(watcher, client, other)
    for receiver in (watcher, client, other):
        changes = [t["newStatus"] for t in receiver.seen("user:status-changed") if t["userId"] == user.id]
        assert changes == ["away", "busy", "online"]


async def test_status_ends_with_the_presence(world: World) -> None:
    """The status lasts until the user goes offline."""
    watcher = await world.connect()
    user = new_user()
    client = await world.connect(user)
    await client.done("presence:update-status", {"status": "away"})
    await client.disconnect()
    await watcher.wait("user:offline", userId=user.id)
    assert (await presence_of(watcher, user))["status"] == "offline"
    again = await world.connect(user)
    assert (await presence_of(again, user))["status"] == "online"


async def test_online_users(world: World) -> None:
    """`presence:online-users` lists everybody connected, whatever the status."""
    client, away, busy = await world.connect_all(new_user(), new_user(), new_user())
    await away.done("presence:update-status", {"status": "away"})
    await busy.done("presence:update-status", {"status": "busy"})
    rows = (await client.done("presence:online-users", {"limit": 200}))["users"]
    statuses = {row["userId"]: row["status"] for row in rows}
    found = [statuses[c.user.id] for c in (client, away, busy)]
    assert found == ["online", "away", "busy"]


async def test_details_are_private(world: World) -> None:
    """E-mail, socket, agent and address are for the user itself and for admins; every key is always there."""
    user = new_user()
    client, stranger, admin = await world.connect_all(user, new_user(), new_user("admin", "admin"))
    own = await facts_of(client, user)
    seen_by_admin = await facts_of(admin, user)
    assert own == seen_by_admin
    assert own["email"] == user.email
    assert own["socketId"] == client.sid
    assert None not in own.values()
    seen = await facts_of(stranger, user)
    assert seen == {**own, **dict.fromkeys(PRIVATE)}


async def test_details_for_everyone(world_with: Worlds) -> None:
    """`presence_details = "everyone"` lifts that."""
    world = await world_with(presence_details="everyone", monitoring_access="everyone")
    user = new_user()
    client, stranger = await world.connect_all(user, new_user())
    assert await facts_of(stranger, user) == await facts_of(client, user)


async def test_an_offline_user(world: World) -> None:
    """Of somebody who is not here, every key is there as well."""
    user = new_user()
    client, gone = await world.connect_all(new_user(), user)
    await gone.disconnect()
    await client.wait("user:offline", userId=user.id)
    nothing_or_text = one_of(None, TEXT)
    check(
        await presence_of(client, user),
        {
            "userId": user.id,
            "username": user.username,
            "status": "offline",
            "lastSeen": TIME,
            "connectedAt": one_of(None, TIME),
            **dict.fromkeys(PRIVATE, nothing_or_text),
        },
    )


async def test_stats(world: World) -> None:
    """`totalUsers` is all registered users, and the four others add up to it."""
    client, away, busy = await world.connect_all(new_user(), new_user(), new_user())
    await away.done("presence:update-status", {"status": "away"})
    await busy.done("presence:update-status", {"status": "busy"})
    await world.rest.introduce(new_user("never-here"))
    stats = (await client.done("presence:stats"))["stats"]
    total = stats.pop("totalUsers")
    assert sum(stats.values()) == total
    assert min(stats.values()) >= 1


async def test_scope_of_a_large_server(world_with: Worlds) -> None:
    """Past the limit presence is told to users who share a chat only, and `users:online` says so."""
    world = await world_with(presence_broadcast_limit="2")
    friend, user = new_user("friend"), new_user()
    await world.chat_of(friend, user)
    stranger_client, friend_client = await world.connect_all(new_user("stranger"), friend)
    client = await world.connect(user)
    told = await client.wait("users:online")
    check(told, {**USERS_ONLINE, "scope": "chats"})
    listed = {row["userId"] for row in told["users"]}
    assert friend.id in listed
    assert stranger_client.user.id not in listed
    await friend_client.wait("user:online", userId=user.id)
    await client.done("presence:update-status", {"status": "away"})
    await friend_client.wait("user:status-changed", userId=user.id)
    await settle(stranger_client)
    for name in ("user:online", "user:status-changed"):
        assert [t for t in stranger_client.seen(name) if t["userId"] == user.id] == []


async def test_scope_is_told(world: World) -> None:
    """Below the limit `users:online` says that it is about all."""
    client = await world.connect()
    assert (await client.wait("users:online"))["scope"] == "all"
