"""Rooms: entering and leaving, who is told what, lists and pages (contract, section 3)."""

import asyncio
import itertools
from typing import Any

import pytest

from hubbub.contract.values import now
from tests.api import objects
from tests.api.conftest import SMALL_ROOMS, Worlds
from tests.harness.clients import Client, settle
from tests.harness.inbox import eventually, watch
from tests.harness.shapes import TIME, check, failure
from tests.harness.users import new_user
from tests.harness.world import World

NO_CHAT = failure("Chat not found or access denied", "NOT_FOUND")
INTERVAL = 0.25


async def test_counts(world: World) -> None:
    """`participantCount` counts members, `onlineCount` distinct users in the room."""
    owner, guest, absent = new_user(), new_user(), new_user()
    chat_id = await world.chat_of(owner, guest, absent)
    first, second, other = await world.connect_all(owner, owner, guest)
    for client in (first, second, other):
        info = await client.join(chat_id)
        assert info["participantCount"] == 3
    info = (await other.done("room:info", {"chatId": chat_id}))["roomInfo"]
    assert (info["participantCount"], info["onlineCount"]) == (3, 2)


async def test_last_activity(world: World) -> None:
    """`lastActivity` is the time of the last message, or of the chat's creation."""
    owner = new_user()
    chat_id = await world.chat_of(owner)
    client = await world.connect(owner)
    created = (await client.done("room:info", {"chatId": chat_id}))["roomInfo"]["lastActivity"]
    await client.join(chat_id)
    await world.rest.change(owner, chat_id, name="Another name")
    assert (await client.done("room:info", {"chatId": chat_id}))["roomInfo"]["lastActivity"] == created
    sent = await client.say(chat_id, "hello")
    info = (await client.done("room:info", {"chatId": chat_id}))["roomInfo"]
    assert info["lastActivity"] == sent["createdAt"] >= created


async def test_archived(world: World) -> None:
    """`isActive` is false once the chat is archived; its members may still enter."""
    owner = new_user()
    chat_id = await world.chat_of(owner)
    client = await world.connect(owner)
    assert (await client.join(chat_id))["isActive"] is True
    await world.rest.change(owner, chat_id, archived=True)
    assert (await client.done("room:info", {"chatId": chat_id}))["roomInfo"]["isActive"] is False
    assert (await client.join(chat_id))["isActive"] is False


async def test_public_chat(world: World) -> None:
    """Joining a public chat makes the user a member, for good."""
    owner, guest = new_user(), new_user()
    chat_id = await world.chat_of(owner, isPublic=True, name="Open house")
    client = await world.connect(guest)
    assert (await client.done("room:list"))["rooms"] == []
    assert (await client.join(chat_id))["participantCount"] == 2
    await client.done("leave:chat", {"chatId": chat_id})
    rooms = (await client.done("room:list"))["rooms"]
    assert [room["chatId"] for room in rooms] == [chat_id]


async def test_room_info_in_the_join_answer(world: World) -> None:
    """`roomInfo` also has `name`, `lastSeq` (0 when there is no message), `unreadCount` and `epoch`."""
    owner, guest = new_user(), new_user()
    chat_id = await world.chat_of(owner, guest, name="Facts")
    mine, theirs = await world.connect_all(owner, guest)
    first = await mine.join(chat_id)
    assert (first["name"], first["lastSeq"], first["unreadCount"]) == ("Facts", 0, 0)
    sent = [await mine.say(chat_id, f"m{number}") for number in range(3)]
    info = await theirs.join(chat_id)
    assert (info["lastSeq"], info["unreadCount"]) == (3, 3)
    assert info["epoch"] == first["epoch"]
    await theirs.done("message:read", {"chatId": chat_id, "messageIds": [m["id"] for m in sent[:2]]})
    assert (await theirs.join(chat_id))["unreadCount"] == 1


async def test_joining_again(world: World) -> None:
    """Joining again from the same socket succeeds and broadcasts nothing."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    info = await client.join(chat_id)
    assert info["chatId"] == chat_id
    await watch(2 * INTERVAL)
    await settle(client, peer)
    for name in ("user:joined", "room:online-update"):
        assert peer.seen(name) == []


async def test_joining_again_behind_messages(world: World) -> None:
    """`lastSeq` is that of the newest message, so who did not know of being in the room reads up to it."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    await peer.say(chat_id, "one")
    await peer.say(chat_id, "two")
    await client.wait("message:new", content="two")
    assert (await client.join(chat_id))["lastSeq"] == 2


async def test_devices(world: World) -> None:
    """`user:joined` and `user:left` come for each socket and count the user's sockets in the room."""
    user, watcher = new_user(), new_user()
    chat_id = await world.chat_of(user, watcher)
    peer, phone, laptop = await world.connect_all(watcher, user, user)
    await peer.join(chat_id)
    await phone.join(chat_id)
    await laptop.join(chat_id)
    joined = await peer.inbox.wait_count("user:joined", 2)
    expected = objects.membership(user, chat_id)
    check(joined, [expected])
    assert [(told["deviceCount"], told["onlineCount"]) for told in joined] == [(1, 2), (2, 2)]
    await phone.done("leave:chat", {"chatId": chat_id})
    await laptop.done("leave:chat", {"chatId": chat_id})
    left = await peer.inbox.wait_count("user:left", 2)
    check(left, [expected])
    assert [(told["deviceCount"], told["onlineCount"]) for told in left] == [(1, 2), (0, 1)]


async def test_second_socket_is_no_change_of_users(world: World) -> None:
    """`room:online-update` comes when the set of users changes, and only then."""
    user = new_user()
    chat_id, (client, peer) = await world.room_of(user, new_user())
    second = await world.connect(user)
    await second.join(chat_id)
    await second.done("leave:chat", {"chatId": chat_id})
    await peer.inbox.wait_count("user:left", 1)
    await watch(2 * INTERVAL)
    assert peer.seen("room:online-update") == []
    await client.done("leave:chat", {"chatId": chat_id})
    update = await peer.wait("room:online-update")
    assert [online["userId"] for online in update["onlineUsers"]] == [peer.user.id]


async def test_leaving_keeps_the_membership(world: World) -> None:
    """`leave:chat` leaves the room, not the membership: no messages any more, but the chat stays listed."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    await client.done("leave:chat", {"chatId": chat_id})
    await peer.say(chat_id, "not for you")
    await settle(client)
    assert client.seen("message:new") == []
    assert [room["chatId"] for room in (await client.done("room:list"))["rooms"]] == [chat_id]
    assert (await client.join(chat_id))["lastSeq"] == 1


async def test_disconnect_leaves(world: World, mode: str) -> None:
    """A socket that disconnects leaves its rooms: `user:left` and `room:online-update` follow."""
    user, watcher = new_user(), new_user()
    chat_id = await world.chat_of(user, watcher)
    peer = await world.connect(watcher)
    client = await world.connect(user, mode)
    await client.join(chat_id)
    await peer.join(chat_id)
    await client.disconnect()
    left = await peer.wait("user:left")
    check(left, {**objects.membership(user, chat_id), "onlineCount": 1, "deviceCount": 0})
    update = await peer.wait("room:online-update", count=1)
    check(update, {**objects.ONLINE_UPDATE, "chatId": chat_id})
    assert [online["userId"] for online in update["onlineUsers"]] == [watcher.id]


async def test_online_update_pace(world: World) -> None:
    """At most one update per room in 250 ms, and the last state is always sent."""
    users = [new_user() for _ in range(12)]
    chat_id = await world.chat_of(*users)
    clients = await world.connect_all(*users)
    watcher = clients[0]
    await watcher.join(chat_id)
    await asyncio.gather(*(client.join(chat_id) for client in clients[1:]))
    await watcher.wait("room:online-update", count=12)
    await asyncio.gather(*(client.done("leave:chat", {"chatId": chat_id}) for client in clients[6:]))
    await watcher.wait("room:online-update", count=6)
    arrivals = [event.at for event in watcher.inbox.events("room:online-update")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    assert 2 <= len(arrivals) <= 6
    assert all(gap > INTERVAL - 0.1 for gap in gaps), gaps
    last = watcher.seen("room:online-update")[-1]
    assert {online["userId"] for online in last["onlineUsers"]} == {user.id for user in users[:6]}


async def test_long_lists_are_cut(world_with: Worlds) -> None:
    """Past the limit `onlineUsers` is cut and says `truncated`; `room:online` pages through all of them."""
    world = await world_with(**SMALL_ROOMS)
    users = [new_user() for _ in range(5)]
    chat_id, clients = await world.room_of(*users)
    await clients[4].done("leave:chat", {"chatId": chat_id})
    update = await clients[0].wait("room:online-update", count=4)
    check(update, {**objects.ONLINE_UPDATE, "truncated": True})
    assert len(update["onlineUsers"]) == 3
    online = await pages(clients[0], "room:online", "onlineUsers", {"chatId": chat_id}, limit=2)
    assert [len(page) for page in online] == [2, 2]
    assert {row["userId"] for page in online for row in page} == {user.id for user in users[:4]}


async def pages(
    client: Client, event: str, rows: str, payload: dict[str, Any], limit: int
) -> list[list[Any]]:
    """All pages of a list."""
    found: list[list[Any]] = []
    at: dict[str, str] = {}
    for _ in range(50):
        answer = await client.done(event, {**payload, "limit": limit, **at})
        found.append(answer[rows])
        if answer["nextCursor"] is None:
            return found
        at = {"cursor": answer["nextCursor"]}
    raise AssertionError(f"{event} has no last page")


async def next_millisecond() -> None:
    """What happens from now on is later than what has happened, by the clock that times are told in."""
    before = now()

    async def is_over() -> bool:
        return now() > before

    await eventually(is_over, what="the clock")


async def test_room_list(world: World) -> None:
    """Newest activity first, page by page; `unreadCount` and `lastMessage` come with each row."""
    user, friend = new_user(), new_user()
    chats = [await world.chat_of(user, friend, name=f"Chat {number}") for number in range(5)]
    client, peer = await world.connect_all(user, friend)
    for chat_id in (chats[1], chats[3], chats[1]):
        await peer.say(chat_id, "news")
        await next_millisecond()
    listed = await pages(client, "room:list", "rooms", {}, limit=2)
    assert [len(page) for page in listed] == [2, 2, 1]
    rooms = [row for page in listed for row in page]
    check(rooms, [objects.ROOM_SUMMARY])
    assert [room["chatId"] for room in rooms] == [chats[1], chats[3], chats[4], chats[2], chats[0]]
    assert [room["unreadCount"] for room in rooms] == [2, 1, 0, 0, 0]
    assert [room["lastMessage"] and room["lastMessage"]["seq"] for room in rooms] == [2, 1, None, None, None]


async def test_presence_pages(world: World) -> None:
    """`presence:online-users` pages in the same way."""
    users = [new_user() for _ in range(5)]
    clients = await world.connect_all(*users)
    online = await pages(clients[0], "presence:online-users", "users", {}, limit=2)
    assert all(len(page) <= 2 for page in online)
    rows = [row["userId"] for page in online for row in page]
    assert len(rows) == len(set(rows))
    assert {user.id for user in users} <= set(rows)


@pytest.mark.parametrize("change", [{"name": "New"}, {"description": "New"}, {"archived": True}])
async def test_room_info_is_told(world: World, change: dict[str, Any]) -> None:
    """A change of name, description or archived state is told to the room, with the same `roomInfo`."""
    owner = new_user()
    chat_id, (client, peer) = await world.room_of(owner, new_user())
    outside = await world.connect(owner)
    await world.rest.change(owner, chat_id, **change)
    for receiver in (client, peer):
        told = await receiver.wait("room:info", chatId=chat_id)
        check(told, {"chatId": chat_id, "roomInfo": objects.ROOM_INFO, "timestamp?": TIME})
        assert told["roomInfo"] == (await receiver.done("room:info", {"chatId": chat_id}))["roomInfo"]
    await settle(outside)
    assert outside.seen("room:info") == []


async def test_membership_is_told(world: World) -> None:
    """New and former members change the `participantCount` that the room is told."""
    owner, guest, third = new_user(), new_user(), new_user()
    chat_id, (client,) = await world.room_of(owner, isPublic=True)
    await world.rest.add(owner, chat_id, guest)
    await client.inbox.wait("room:info", lambda told: told["roomInfo"]["participantCount"] == 2)
    other = await world.connect(third)
    await other.join(chat_id)
    await client.inbox.wait("room:info", lambda told: told["roomInfo"]["participantCount"] == 3)
    client.forget()
    await world.rest.remove(owner, chat_id, guest)
    await client.inbox.wait("room:info", lambda told: told["roomInfo"]["participantCount"] == 2)


async def test_removed_member(world: World) -> None:
    """Who is no member any more is out of the room at once and cannot come back."""
    owner, guest = new_user(), new_user()
    chat_id, (client, expelled) = await world.room_of(owner, guest)
    await world.rest.remove(owner, chat_id, guest)
    await client.wait("user:left", userId=guest.id, deviceCount=0)
    await client.say(chat_id, "among us")
    await settle(expelled)
    assert expelled.seen("message:new") == []
    check(await expelled.request("join:chat", {"chatId": chat_id}), NO_CHAT)
    check(await expelled.request("message:send", {"chatId": chat_id, "content": "hello?"}), NO_CHAT)
    assert (await expelled.done("room:list"))["rooms"] == []
