"""Typing: who is told, and every way in which it ends (contract, section 4)."""

import time

import pytest_asyncio

from tests.api import objects
from tests.api.conftest import SMALL_ROOMS, Worlds
from tests.harness.clients import Client, Json, settle
from tests.harness.inbox import watch
from tests.harness.shapes import check, failure
from tests.harness.users import new_user
from tests.harness.world import World

TYPING_TIMEOUT = 3.0


@pytest_asyncio.fixture(loop_scope="session")
async def patient(world_with: Worlds) -> World:
    """A server on which typing does not end by itself while a test runs."""
    return await world_with(typing_timeout="10m")


async def set_typing(client: Client, chat_id: str, is_typing: bool) -> Json:
    """Begin or stop."""
    return await client.done("message:typing", {"chatId": chat_id, "isTyping": is_typing})


async def typists(client: Client, chat_id: str) -> list[str]:
    """Ids of who is typing."""
    users = (await client.done("message:typing-users", {"chatId": chat_id}))["typingUsers"]
    return [user["userId"] for user in users]


async def ended(peer: Client, user: Client, chat_id: str) -> None:
    """The end was told, in the documented shape, once."""
    check(await peer.wait("user:typing", isTyping=False), objects.typing(user.user, chat_id, False))
    await settle(peer)
    assert [told["isTyping"] for told in peer.seen("user:typing")] == [True, False]
    assert await typists(peer, chat_id) == []


async def test_told_to_the_others(world: World) -> None:
    """The others in the room are told; the typing socket and members outside are not."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    outside = await world.connect(peer.user)
    await set_typing(client, chat_id, True)
    await peer.wait("user:typing", isTyping=True)
    assert await typists(peer, chat_id) == [client.user.id]
    await settle(client, outside)
    assert client.seen("user:typing") == outside.seen("user:typing") == []


async def test_stopping(patient: World) -> None:
    """`isTyping: false` ends it; once more, or without a beginning, it succeeds and tells nothing."""
    chat_id, (client, peer) = await patient.room_of(new_user(), new_user())
    await set_typing(client, chat_id, False)
    await set_typing(client, chat_id, True)
    await set_typing(client, chat_id, False)
    await set_typing(client, chat_id, False)
    await ended(peer, client, chat_id)


async def test_ends_by_itself(world: World) -> None:
    """3 s after the last `isTyping: true` typing ends by itself, and that is told once."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    await set_typing(client, chat_id, True)
    await watch(1.5)
    await set_typing(client, chat_id, True)
    since = time.monotonic()
    await peer.wait("user:typing", isTyping=False)
    assert TYPING_TIMEOUT - 0.3 <= time.monotonic() - since <= TYPING_TIMEOUT + 1.5
    assert await typists(client, chat_id) == []
    assert [told["isTyping"] for told in peer.seen("user:typing")][-1] is False
    assert sum(not told["isTyping"] for told in peer.seen("user:typing")) == 1


async def test_ends_by_sending(patient: World) -> None:
    """A message ends the typing of its sender."""
    chat_id, (client, peer) = await patient.room_of(new_user(), new_user())
    await set_typing(client, chat_id, True)
    await client.say(chat_id, "done")
    await ended(peer, client, chat_id)


async def test_ends_by_leaving(patient: World) -> None:
    """Leaving the room ends it."""
    chat_id, (client, peer) = await patient.room_of(new_user(), new_user())
    await set_typing(client, chat_id, True)
    await client.done("leave:chat", {"chatId": chat_id})
    await ended(peer, client, chat_id)


async def test_ends_by_disconnecting(patient: World, mode: str) -> None:
    """A socket that goes away ends it."""
    user, watcher = new_user(), new_user()
    chat_id = await patient.chat_of(user, watcher)
    client, peer = await patient.connect(user, mode), await patient.connect(watcher)
    await client.join(chat_id)
    await peer.join(chat_id)
    await set_typing(client, chat_id, True)
    await peer.wait("user:typing", isTyping=True)
    await client.disconnect()
    await ended(peer, client, chat_id)


async def test_needs_a_joined_socket(world: World) -> None:
    """A member who has not joined cannot announce that it types, even if another socket of the user has."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    outside = await world.connect(client.user)
    answer = await outside.refused("message:typing", {"chatId": chat_id, "isTyping": True})
    check(answer, failure("User not in this room", "NOT_IN_ROOM"))
    await settle(peer)
    assert peer.seen("user:typing") == []


async def test_not_announced_in_large_rooms(world_with: Worlds) -> None:
    """Past the limit of online users typing is not broadcast, and the answer says so."""
    world = await world_with(**SMALL_ROOMS)
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    for is_typing in (True, False):
        answer = await set_typing(client, chat_id, is_typing)
        check(answer, {"success": True, "message": "Typing status updated", "announced": False})
    await settle(peer)
    assert peer.seen("user:typing") == []
    await peer.done("leave:chat", {"chatId": chat_id})
    answer = await set_typing(client, chat_id, True)
    check(answer, {"success": True, "message": "Typing status updated"})
