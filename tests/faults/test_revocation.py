"""Rights that end while somebody is on the way in: checked again before anything is told (I8).

Each test holds the server at the worst moment, between the check and the room.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.inprocess import House, running
from tests.harness.clients import Client, Json, settle
from tests.harness.inbox import eventually
from tests.harness.raw_client import RawSocket
from tests.harness.users import User, new_user

NO_CHAT = "Chat not found or access denied"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A server in this process."""
    async with running(tmp_path) as house:
        yield house


class Pause:
    """A place in the server where the next one to come by waits until `go_on`."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name
        self._original: Callable[..., Any] = getattr(owner, name)
        self.reached = asyncio.Event()
        self._may_go = asyncio.Event()
        setattr(owner, name, self._wait)

    async def _wait(self, *args: Any, **kwargs: Any) -> Any:
        setattr(self._owner, self._name, self._original)
        result = await self._original(*args, **kwargs)
        self.reached.set()
        await self._may_go.wait()
        return result

    def go_on(self) -> None:
        """Let it pass."""
        self._may_go.set()


def recovery_pause(house: House, name: str) -> Pause:
    """A pause in what recovery does, or in its reading of what was missed."""
    recovery = house.built.chat.requests.recovery
    return Pause(recovery if hasattr(recovery, name) else recovery.backlog, name)


async def scene(house: House, **fields: Any) -> tuple[str, Client, User]:
    """A chat, its owner's client in the room, and another member."""
    owner, user = new_user("owner"), new_user("member")
    chat_id = await house.rest.chat(owner, user, **fields)
    peer = await house.connect(owner)
    await peer.join(chat_id)
    return chat_id, peer, user


async def hears_nothing(house: House, peer: Client, chat_id: str, socket: Client | RawSocket) -> None:
    """What is said from now on does not reach the socket, which is in no room either."""
    await peer.say(chat_id, "secret")
    if isinstance(socket, RawSocket):
        info = await socket.request("connection:session-info", {})
        assert not any("secret" in packet for packet in socket.packets)
    else:
        await settle(socket)
        info = await socket.done("connection:session-info")
        assert socket.seen("message:new") == []
    assert info["sessionInfo"]["rooms"] == []
    room = (await peer.done("room:info", {"chatId": chat_id}))["roomInfo"]
    assert (room["onlineCount"], room["participantCount"]) == (1, 1)
    assert peer.seen("user:joined") == []


async def test_removed_while_joining(house: House) -> None:
    """Whoever is removed between the check of a join and the room is refused, and nothing is left behind."""
    chat_id, peer, user = await scene(house)
    client = await house.connect(user)
    peer.forget()
    pause = Pause(house.built.chat.requests.rooms, "admit")
    joining = asyncio.create_task(client.request("join:chat", {"chatId": chat_id}))
    await pause.reached.wait()
    await house.rest.remove(peer.user, chat_id, user)
    pause.go_on()
    assert (await joining)["message"] == NO_CHAT
    await hears_nothing(house, peer, chat_id, client)


async def test_removed_while_the_join_is_stored(house: House) -> None:
    """The same, when it happens while the joined room is being stored."""
    chat_id, peer, user = await scene(house)
    client = await house.connect(user)
    peer.forget()
    pause = Pause(house.built.chat.requests.recovery, "joined")
    joining = asyncio.create_task(client.request("join:chat", {"chatId": chat_id}))
    await pause.reached.wait()
    await house.rest.remove(peer.user, chat_id, user)
    pause.go_on()
    assert (await joining)["message"] == NO_CHAT
    await hears_nothing(house, peer, chat_id, client)


async def test_joining_while_somebody_else_is_removed(house: House) -> None:
    """Another one's end makes no difference."""
    chat_id, peer, user = await scene(house)
    other = new_user("other")
    await house.rest.add(peer.user, chat_id, other)
    client = await house.connect(user)
    pause = Pause(house.built.chat.requests.rooms, "admit")
    joining = asyncio.create_task(client.join(chat_id))
    await pause.reached.wait()
    await house.rest.remove(peer.user, chat_id, other)
    pause.go_on()
    await joining
    await peer.say(chat_id, "hello")
    await client.wait("message:new", content="hello")


async def away(house: House, peer: Client, chat_id: str, user: User) -> tuple[str, Json]:
    """The user has been in the room and is gone; the recovery token, and what state recovery needs."""
    socket = house.raw()
    await socket.open({"token": user.token()})
    welcome = await socket.inbox.wait("40")
    pid = welcome.split('"pid":"')[1].split('"')[0]
    await socket.request("join:chat", {"chatId": chat_id})
    token = (await socket.request("connection:create-session", {}))["recoveryToken"]
    await socket.close()
    await peer.wait("user:left", userId=user.id)
    peer.forget()
    await peer.say(chat_id, "missed")
    return token, {"token": user.token(), "pid": pid}


@pytest.mark.parametrize("place", ["resume", "queue", "take_over"])
async def test_removed_while_recovering(house: House, place: str) -> None:
    """Wherever it is when the membership ends, a recovery gives back nothing of the chat."""
    chat_id, peer, user = await scene(house)
    token, _ = await away(house, peer, chat_id, user)
    client = await house.connect(user)
    pause = recovery_pause(house, place)
    recovering = asyncio.create_task(client.done("connection:recover", {"recoveryToken": token}))
    await pause.reached.wait()
    await house.rest.remove(peer.user, chat_id, user)
    pause.go_on()
    session = (await recovering)["session"]
    assert (session["rooms"], session["messageQueue"]) == ([], [])
    await settle(client)
    assert client.seen("connection:queued-messages") == []
    await hears_nothing(house, peer, chat_id, client)


@pytest.mark.parametrize("place", ["resume", "replay"])
async def test_removed_while_state_recovery_lets_in(house: House, place: str) -> None:
    """State recovery leaves the chat out as well."""
    chat_id, peer, user = await scene(house)
    _, auth = await away(house, peer, chat_id, user)
    pause = recovery_pause(house, place)
    socket = house.raw()
    await socket.open(auth)
    await pause.reached.wait()
    await house.rest.remove(peer.user, chat_id, user)
    pause.go_on()
    await socket.inbox.wait("40")
    assert not any("missed" in packet for packet in socket.packets)
    await hears_nothing(house, peer, chat_id, socket)


@pytest.mark.parametrize("known", [True, False], ids=["pid", "newcomer"])
async def test_switched_off_while_connecting(house: House, known: bool) -> None:
    """Whoever is switched off after the token was judged does not get in."""
    chat_id, peer, user = await scene(house)
    _, auth = await away(house, peer, chat_id, user)
    pause = Pause(house.built.chat.requests.tokens, "identify")
    socket = house.raw()
    await socket.open(auth if known else {"token": user.token()})
    await pause.reached.wait()
    admin = new_user("admin", "admin")
    await house.rest.done(admin, "PATCH", f"/users/{user.id}", {"active": False})
    pause.go_on()
    assert "USER_INACTIVE" in await socket.inbox.wait("44")
    assert not house.built.clients.of_user(user.id)
    assert not any(packet.startswith("40") or "missed" in packet for packet in socket.packets)


async def recover_between_beats(house: House, user: User, token: str) -> str:
    """Recover while a heartbeat is on its way, whose answer comes behind it, and go; the new token."""
    client = await house.connect(user)
    (inside,) = house.built.clients.of_user(user.id)
    pause = recovery_pause(house, "queue")
    recovering = asyncio.create_task(client.done("connection:recover", {"recoveryToken": token}))
    await pause.reached.wait()
    house.built.namespace.ping_sent(inside.socket)
    pause.go_on()
    answer = await recovering
    house.built.namespace.pong(inside.socket)
    await client.disconnect()

    async def gone() -> bool:
        return not house.built.clients.of_user(user.id)

    await eventually(gone, what="the socket to be cleared away")
    return str(answer["session"]["recoveryToken"])


async def test_a_heartbeat_from_before_the_answer(house: House) -> None:
    """A heartbeat that went out before the new token proves nothing about it: the old one stays good.

    One that went out behind it does.
    """
    chat_id, peer, user = await scene(house)
    token, _ = await away(house, peer, chat_id, user)
    await recover_between_beats(house, user, token)
    newer = await recover_between_beats(house, user, token)
    client = await house.connect(user)
    await client.done("connection:recover", {"recoveryToken": newer})
    (inside,) = house.built.clients.of_user(user.id)
    house.built.namespace.ping_sent(inside.socket)
    house.built.namespace.pong(inside.socket)
    await house.built.store.check()  # a write behind the one of the heartbeat
    other = await house.connect(user)
    answer = await other.refused("connection:recover", {"recoveryToken": newer})
    assert answer["message"] == "Invalid recovery token"
