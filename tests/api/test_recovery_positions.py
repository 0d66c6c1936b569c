"""What a client is known to have received, and for how long a token is good: told by heartbeat answers.

A bare WebSocket decides here which heartbeat it answers; the server beats fast.
"""

import asyncio
import json

from tests.api.conftest import Worlds
from tests.harness.clients import Client, Json
from tests.harness.raw_client import RawSocket
from tests.harness.shapes import check, failure
from tests.harness.users import User, new_user
from tests.harness.world import World

BEATS = {"ping_interval": "300ms", "ping_timeout": "20s"}


async def enter(world: World, user: User, chat_id: str) -> tuple[RawSocket, str]:
    """A bare socket in the room, and its recovery token."""
    socket = world.raw()
    await socket.connect({"token": user.token()})
    await socket.request("join:chat", {"chatId": chat_id})
    answer = await socket.request("connection:create-session", {})
    return socket, answer["recoveryToken"]


async def confirm(socket: RawSocket) -> None:
    """Wait until the server has an answer to a heartbeat that it sent after this call."""
    for _ in range(3):
        await socket.wait_heartbeat()


async def scene(worlds: Worlds) -> tuple[World, User, Client, str]:
    """A world that beats, a user, and another member in the room of their chat."""
    world = await worlds(**BEATS)
    user = new_user()
    chat_id, (peer,) = await world.room_of(new_user())
    await world.rest.add(peer.user, chat_id, user)
    return world, user, peer, chat_id


async def taken_up(world: World, user: User, token: str) -> Json:
    """The answer to a recovery by a new client, without `lastSeq`."""
    client = await world.connect(user)
    return await client.request("connection:recover", {"recoveryToken": token})


async def test_confirmed_messages_are_not_repeated(world_with: Worlds) -> None:
    """What came before an answered heartbeat counts as received; what came behind it is repeated."""
    world, user, peer, chat_id = await scene(world_with)
    socket, token = await enter(world, user, chat_id)
    for number in range(3):
        await peer.say(chat_id, f"m{number}")
    await socket.wait_event("message:new", 3)
    await confirm(socket)
    socket.answer_heartbeats = False
    await socket.wait_heartbeat()
    for number in range(3, 5):
        await peer.say(chat_id, f"m{number}")
    await socket.wait_event("message:new", 5)
    await socket.close()
    answer = await taken_up(world, user, token)
    assert [message["seq"] for message in answer["session"]["messageQueue"]] == [4, 5]


async def test_written_is_not_received(world_with: Worlds) -> None:
    """A message is not received because it was written, nor by the answer to a heartbeat before it."""
    world, user, peer, chat_id = await scene(world_with)
    socket, token = await enter(world, user, chat_id)
    await confirm(socket)
    socket.answer_heartbeats = False
    await socket.wait_heartbeat()
    await peer.say(chat_id, "behind the heartbeat")
    await socket.wait_event("message:new")
    await socket.send("3")
    await socket.wait_heartbeat()
    await socket.close()
    answer = await taken_up(world, user, token)
    assert [message["seq"] for message in answer["session"]["messageQueue"]] == [1]


async def test_reused_token_ends_the_session(world_with: Worlds) -> None:
    """Once the new connection has answered a heartbeat, the old token is refused and ends the session."""
    world, user, _, chat_id = await scene(world_with)
    socket, stolen = await enter(world, user, chat_id)
    await socket.close()
    heir = world.raw()
    await heir.connect({"token": user.token()})
    answer = await heir.request("connection:recover", {"recoveryToken": stolen})
    fresh = answer["session"]["recoveryToken"]
    await confirm(heir)
    refused = failure("Invalid recovery token", "NOT_FOUND")
    check(await taken_up(world, user, stolen), refused)
    await heir.close()
    check(await taken_up(world, user, fresh), refused)


async def test_unanswered_token_stays_good(world_with: Worlds) -> None:
    """While the new connection has answered none, the old token can be used again."""
    world, user, _, chat_id = await scene(world_with)
    socket, token = await enter(world, user, chat_id)
    await socket.close()
    for _ in range(3):
        heir = world.raw()
        heir.answer_heartbeats = False
        await heir.connect({"token": user.token()})
        assert (await heir.request("connection:recover", {"recoveryToken": token}))["success"] is True
        await asyncio.wait_for(heir.wait_heartbeat(), 10)
        await heir.close()


async def test_a_lost_queue_is_not_skipped(world_with: Worlds) -> None:
    """A client that may not have the queue of a recovery cannot go on by Socket.IO's own, whose offset, that
    of a later message in another room, would leave the queue out.
    """
    world, user, peer, chat_id = await scene(world_with)
    socket, token = await enter(world, user, chat_id)
    await socket.close()
    await peer.say(chat_id, "missed")
    other_id = await world.chat_of(peer.user, user)
    heir = world.raw()
    heir.answer_heartbeats = False
    sid = await heir.connect({"token": user.token()})
    pid = json.loads(next(one for one in heir.packets if one.startswith("40")).partition(",")[2])["pid"]
    await heir.request("join:chat", {"chatId": other_id})
    await peer.say(other_id, "seen")
    await heir.wait_event("message:new")
    offset = json.loads(next(one for one in heir.packets if "message:new" in one).partition(",")[2])[2]
    await heir.request("connection:recover", {"recoveryToken": token})
    await heir.close()
    again = world.raw()
    assert await again.connect({"token": user.token(), "pid": pid, "offset": offset}) != sid
