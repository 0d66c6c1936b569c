"""What clients are told after a backup was put back: no number that they remember counts any more (I7)."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest

from hubbub.store.backups import back_up, restore
from tests.api.conftest import Worlds
from tests.harness.clients import Client, Json
from tests.harness.node_client import NodeClient
from tests.harness.users import User, new_user
from tests.harness.world import NPM_WEBSOCKET, World

RECONNECTS = {"reconnectionDelay": 300, "reconnectionDelayMax": 600}


def silent(_what: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""


@dataclass(slots=True)
class Scene:
    """A server with a chat that has three messages in the backup, and four when the server dies."""

    world: World
    user: User
    peer: User
    chat_id: str
    epoch: str
    token: str

    async def go_back(self, start: Worlds) -> Client:
        """Kill the server, put the backup back, start again; the peer, who says another fourth and fifth."""
        await self.world.server.kill()
        folder = self.world.server.data_dir
        await asyncio.to_thread(restore, folder / "hubbub.db", folder / "backup", silent)
        self.world = await start(folder, port=str(self.world.server.port))
        peer = await self.world.connect(self.peer)
        for number in (4, 5):
            assert (await peer.say(self.chat_id, f"another {number}"))["seq"] == number
        return peer


async def scene(start: Worlds) -> Scene:
    """The user has a recovery session that is in the backup."""
    world = await start()
    user, friend = new_user(), new_user()
    chat_id, (client, peer) = await world.room_of(user, friend)
    epoch = (await client.join(chat_id))["epoch"]
    token = (await client.done("connection:create-session"))["recoveryToken"]
    for number in (1, 2, 3):
        await peer.say(chat_id, f"m{number}", clientMessageId=f"m{number}")
    folder = world.server.data_dir
    await asyncio.to_thread(back_up, folder / "hubbub.db", folder / "backup", silent)
    await peer.say(chat_id, "m4", clientMessageId="m4")
    return Scene(world, user, friend, chat_id, epoch, token)


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"lastSeq": 4}, id="a number that is another message now"),
        pytest.param({"lastSeq": 3, "epoch": True}, id="the epoch of before"),
        pytest.param({"lastSeq": 99}, id="a number from the future"),
    ],
)
async def test_recovering_by_token(start: Worlds, claim: Json) -> None:
    """Whatever the client says, its chats are to be reloaded; then all goes on from there."""
    old = await scene(start)
    peer = await old.go_back(start)
    client = await old.world.connect(old.user)
    said: dict[str, Any] = {"recoveryToken": old.token}
    if "lastSeq" in claim:
        said["lastSeq"] = {old.chat_id: claim["lastSeq"]}
    if "epoch" in claim:
        said["epoch"] = old.epoch
    answer = await client.done("connection:recover", said)
    assert (answer["reset"], answer["session"]["messageQueue"]) == ([old.chat_id], [])
    assert answer["session"]["rooms"] == [old.chat_id]
    await peer.say(old.chat_id, "live")
    assert (await client.wait("message:new"))["seq"] == 6
    epoch = (await client.join(old.chat_id))["epoch"]
    assert epoch != old.epoch
    await client.disconnect()
    await peer.say(old.chat_id, "missed")
    again = await old.world.connect(old.user)
    token = answer["session"]["recoveryToken"]
    said = {"recoveryToken": token, "epoch": epoch, "lastSeq": {old.chat_id: 6}}
    answer = await again.done("connection:recover", said)
    assert ([m["seq"] for m in answer["session"]["messageQueue"]], answer["reset"]) == ([7], [])


async def test_sessions_that_are_lost(start: Worlds) -> None:
    """A session made after the backup is gone, and its token is as good as any wrong one."""
    old = await scene(start)
    client = await old.world.connect(old.user)
    token = (await client.done("connection:create-session"))["recoveryToken"]
    await old.go_back(start)
    again = await old.world.connect(old.user)
    answer = await again.refused("connection:recover", {"recoveryToken": token})
    assert answer["message"] == "Invalid recovery token"


async def test_sending_again(start: Worlds) -> None:
    """A message that was lost is a new one when it is sent again; one that was not is still the first."""
    old = await scene(start)
    peer = await old.go_back(start)
    kept, lost = [
        await peer.done("message:send", {"chatId": old.chat_id, "content": one, "clientMessageId": one})
        for one in ("m3", "m4")
    ]
    assert (kept["duplicate"], kept["sentMessage"]["seq"]) == (True, 3)
    assert ("duplicate" in lost, lost["sentMessage"]["seq"]) == (False, 6)


@pytest.mark.node
@pytest.mark.parametrize("heard", [True, False], ids=["with an offset", "without one"])
async def test_state_recovery_begins_anew(start: Worlds, heard: bool) -> None:
    """The stock client is told by `recovered` false, and gets none of the messages that are others now."""
    world = await start()
    user, friend = new_user(), new_user()
    chat_id, (peer,) = await world.room_of(friend)
    await world.rest.add(friend, chat_id, user)
    client: NodeClient = world.npm(user, NPM_WEBSOCKET)
    await client.connect(manager=RECONNECTS)
    await client.join(chat_id)
    if heard:
        await peer.say(chat_id, "m1")
        await client.wait("message:new", seq=1)
    folder = world.server.data_dir
    await asyncio.to_thread(back_up, folder / "hubbub.db", folder / "backup", silent)
    old = Scene(world, user, friend, chat_id, "", "")
    for _ in range(3 - heard):
        await peer.say(chat_id, "more")
    await client.inbox.wait_count("message:new", 3)
    client.forget()
    before = client.sid
    await world.server.kill()
    await client.wait_disconnect()
    client.forget()
    await asyncio.to_thread(restore, folder / "hubbub.db", folder / "backup", silent)
    old.world = await start(folder, port=str(world.server.port))
    state = await client.wait("$connect", timeout=20)
    assert (state["recovered"], state["id"] == before) == (False, False)
    peer = await old.world.connect(friend)
    await peer.say(chat_id, "another")
    assert (await client.done("connection:session-info"))["sessionInfo"]["rooms"] == []
    assert client.seen("message:new") == []


async def test_a_pid_without_an_offset(start: Worlds) -> None:
    """A connection of the backup is not continued either by a client that has heard nothing yet."""
    world = await start()
    user = new_user()
    chat_id = await world.chat_of(user)
    socket = world.raw()
    sid = await socket.connect({"token": user.token()})
    pid = json.loads(socket.packets[1].partition(",")[2])["pid"]
    await socket.request("join:chat", {"chatId": chat_id})
    folder = world.server.data_dir
    await asyncio.to_thread(back_up, folder / "hubbub.db", folder / "backup", silent)
    await world.server.kill()
    await asyncio.to_thread(restore, folder / "hubbub.db", folder / "backup", silent)
    again = await start(folder)
    heir = again.raw()
    assert await heir.connect({"token": user.token(), "pid": pid}) != sid
    info = (await heir.request("connection:session-info", {}))["sessionInfo"]
    assert info["rooms"] == []
