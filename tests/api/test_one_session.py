"""Sockets that Socket.IO's own recovery brought back, and what becomes of their sessions."""

import json

from tests.api.conftest import Worlds
from tests.api.test_recovery_positions import confirm, enter, scene, taken_up
from tests.harness.clients import Client, Json
from tests.harness.raw_client import RawSocket
from tests.harness.users import User
from tests.harness.world import World


async def come(world: World, user: User, pid: str | None = None) -> tuple[RawSocket, Json]:
    """A bare socket, brought back by a private id if one is given, and what it was welcomed with."""
    socket = world.raw()
    await socket.connect({"token": user.token()} if pid is None else {"token": user.token(), "pid": pid})
    packet = next(packet for packet in socket.packets if packet.startswith("40/chat,"))
    return socket, json.loads(packet.removeprefix("40/chat,"))


async def brought_back(world: World, user: User, chat_id: str) -> tuple[RawSocket, Json]:
    """A socket that was in the room, went, and came back by its private id."""
    before, facts = await come(world, user)
    await before.request("join:chat", {"chatId": chat_id})
    await before.close()
    socket, again = await come(world, user, facts["pid"])
    assert again == facts
    return socket, facts


async def sessions(peer: Client) -> int:
    """How many sessions are stored."""
    return int((await peer.done("connection:stats"))["stats"]["activeSessions"])


async def test_a_recovery_replaces_the_session(world_with: Worlds) -> None:
    """Whoever was brought back takes up another session in place of the own one, and can come back again."""
    world, user, peer, chat_id = await scene(world_with)
    old, token = await enter(world, user, chat_id)
    await old.close()
    await peer.wait("user:left", userId=user.id)
    socket, facts = await brought_back(world, user, chat_id)
    before = await sessions(peer)
    answer = await socket.request("connection:recover", {"recoveryToken": token})
    assert answer["success"] is True
    assert await sessions(peer) == before - 1
    await confirm(socket)
    assert (await socket.request("join:chat", {"chatId": chat_id}))["success"] is True
    peer.forget()
    await socket.close()
    await peer.wait("user:left", userId=user.id)
    again, welcome = await come(world, user, facts["pid"])
    assert welcome["sid"] == facts["sid"]
    info = (await again.request("connection:session-info", {}))["sessionInfo"]
    assert info["rooms"] == [chat_id]
    assert (await taken_up(world, user, answer["session"]["recoveryToken"]))["success"] is True


async def test_leaving_on_purpose_ends_it(world_with: Worlds) -> None:
    """A socket that was brought back and says that it goes is not brought back once more."""
    world, user, peer, chat_id = await scene(world_with)
    socket, facts = await brought_back(world, user, chat_id)
    peer.forget()
    await socket.send("41/chat,")
    await peer.wait("user:left", userId=user.id)
    _, welcome = await come(world, user, facts["pid"])
    assert welcome["sid"] != facts["sid"]
