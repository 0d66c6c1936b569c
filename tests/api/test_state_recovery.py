"""Socket.IO's own connection state recovery, with the stock npm client and no code of its own (section 6)."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.api.conftest import Worlds
from tests.harness.clients import Client
from tests.harness.node_client import NodeClient
from tests.harness.users import User, new_user
from tests.harness.world import NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET, World

pytestmark = pytest.mark.node

SOON = {"reconnectionDelay": 700, "randomizationFactor": 0}
DELAYS = ("reconnectionDelay", "reconnectionDelayMax")
LATER = {**dict.fromkeys(DELAYS, 2500), "randomizationFactor": 0}
NPM = [NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET]


async def scene(
    world: World, mode: str = NPM_DEFAULT, manager: Mapping[str, object] | None = None
) -> tuple[NodeClient, Client, str]:
    """An npm client and another member in a room."""
    user = new_user()
    chat_id, (peer,) = await world.room_of(new_user())
    await world.rest.add(peer.user, chat_id, user)
    client = world.npm(user, mode)
    await client.connect(manager=manager or SOON)
    await client.join(chat_id)
    return client, peer, chat_id


async def cut(client: NodeClient) -> None:
    """Cut the transport and wait until the client knows."""
    client.cut()
    await client.wait_disconnect()
    client.inbox.log[:] = [event for event in client.inbox.log if not event.name.startswith("$")]


async def say(peer: Client, chat_id: str, *numbers: int) -> None:
    """One message for each number, in that order."""
    for number in numbers:
        await peer.say(chat_id, f"m{number}")


def received(client: Client) -> list[int]:
    """Numbers of the messages in the order of their arrival."""
    return [message["seq"] for message in client.seen("message:new")]


@pytest.mark.parametrize("mode", NPM)
async def test_recovered(world: World, mode: str) -> None:
    """The socket is recovered under its id; what it missed arrives in order, none twice, then what is new."""
    client, peer, chat_id = await scene(world, mode)
    before = client.sid
    await say(peer, chat_id, 1, 2, 3)
    await client.inbox.wait_count("message:new", 3)
    await cut(client)
    await say(peer, chat_id, *range(4, 24))
    state = await client.wait("$connect")
    assert state["recovered"] is True
    assert state["id"] == before
    await say(peer, chat_id, 24, 25)
    await client.inbox.wait_count("message:new", 25)
    assert received(client) == list(range(1, 26))
    info = (await client.done("connection:session-info"))["sessionInfo"]
    assert (info["socketId"], info["rooms"]) == (before, [chat_id])


async def test_recovered_again_and_again(world: World) -> None:
    """Every further cut is recovered as well."""
    client, peer, chat_id = await scene(world, NPM_WEBSOCKET, {**SOON, "reconnectionDelay": 300})
    for number in range(4):
        await cut(client)
        await say(peer, chat_id, 2 * number)
        assert (await client.wait("$connect"))["recovered"] is True
        await say(peer, chat_id, 2 * number + 1)
        await client.inbox.wait_count("message:new", 2 * number + 2)
    assert received(client) == list(range(1, 9))


async def test_dropped_before_the_first_message(world: World) -> None:
    """A connection that was cut before any message reached it is recovered as well."""
    client, peer, chat_id = await scene(world)
    await cut(client)
    await say(peer, chat_id, 1, 2, 3)
    assert (await client.wait("$connect"))["recovered"] is True
    await client.inbox.wait_count("message:new", 3)
    assert received(client) == [1, 2, 3]


async def test_many_missed(world: World) -> None:
    """1000 missed messages arrive in order, none twice."""
    client, peer, chat_id = await scene(world, NPM_WEBSOCKET, LATER)
    await say(peer, chat_id, 1)
    await client.inbox.wait_count("message:new", 1)
    await cut(client)
    for start in range(0, 1000, 200):
        await asyncio.gather(*(peer.say(chat_id, f"m{start + number}") for number in range(200)))
    assert (await client.wait("$connect"))["recovered"] is True
    await client.inbox.wait_count("message:new", 1001)
    assert received(client) == list(range(1, 1002))


async def test_after_the_window(world_with: Worlds) -> None:
    """Past the window the client begins anew, and is told so by `recovered` being false."""
    world = await world_with(state_recovery_window="1s")
    client, peer, chat_id = await scene(world, NPM_WEBSOCKET, LATER)
    await cut(client)
    await say(peer, chat_id, 1)
    assert (await client.wait("$connect"))["recovered"] is False
    info = (await client.done("connection:session-info"))["sessionInfo"]
    assert info["rooms"] == []
    assert received(client) == []


async def test_membership_is_checked_anew(world: World) -> None:
    """Who was removed meanwhile gets nothing of that chat, by whatever way it comes back."""
    client, peer, chat_id = await scene(world, NPM_WEBSOCKET)
    other_id = await world.chat_of(peer.user, client.user)
    await client.join(other_id)
    await cut(client)
    await say(peer, chat_id, 1)
    await say(peer, other_id, 1)
    await world.rest.remove(peer.user, chat_id, client.user)
    await client.wait("$connect")
    await say(peer, chat_id, 2)
    await say(peer, other_id, 2)
    await client.inbox.wait_count("message:new", 2)
    info = (await client.done("connection:session-info"))["sessionInfo"]
    assert info["rooms"] == [other_id]
    assert [message["chatId"] for message in client.seen("message:new")] == [other_id, other_id]


async def test_foreign_pid(world: World) -> None:
    """A `pid` is good for its own user only: another one who has it begins anew and gets nothing."""
    owner = new_user()
    chat_id = await world.chat_of(owner)
    victim = world.raw()
    await victim.open({"token": owner.token()})
    welcome = await victim.inbox.wait("40")
    assert '"pid"' in welcome
    pid = welcome.split('"pid":"')[1].split('"')[0]
    sid = welcome.split('"sid":"')[1].split('"')[0]
    await victim.request("join:chat", {"chatId": chat_id})
    await victim.close()
    for user, same in ((new_user("thief"), False), (owner, True)):
        assert (await takes_up(world, user, pid, sid, chat_id)) is same


async def takes_up(world: World, user: User, pid: str, sid: str, chat_id: str) -> bool:
    """Whether that user with that `pid` becomes the socket of that id, in the room."""
    socket = world.raw()
    became = await socket.connect({"token": user.token(), "pid": pid}) == sid
    info = (await socket.request("connection:session-info", {}))["sessionInfo"]
    assert info["rooms"] == ([chat_id] if became else [])
    await socket.close()
    return became


async def test_token_is_checked_anew(world: World) -> None:
    """A client whose token expired while it was away is refused."""
    user = new_user()
    client = world.npm(user, NPM_WEBSOCKET)
    await client.connect(user.token(2), manager={**LATER, **dict.fromkeys(DELAYS, 3000)})
    await cut(client)
    told = await client.wait("$connect_error")
    assert (told["message"], told["data"]) == ("Unauthorized", {"code": "TOKEN_EXPIRED"})
