"""Rights that end while somebody is on the way in: checked again before anything is told (I8).

Each test holds the server at the worst moment, between the check and the room.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.inprocess import House, running
from tests.faults.pauses import Pause
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


@pytest.mark.parametrize("place", ["admit", "joined_info", "joined"])
async def test_removed_while_joining(house: House, place: str) -> None:
    """Whoever is removed between the check of a join and the room is refused, and nothing is left behind."""
    chat_id, peer, user = await scene(house)
    client = await house.connect(user)
    peer.forget()
    requests = house.built.chat.requests
    pause = Pause(requests.recovery if place == "joined" else requests.rooms, place)
    joining = asyncio.create_task(client.request("join:chat", {"chatId": chat_id}))
    await pause.reached.wait()
    await house.rest.remove(peer.user, chat_id, user)
    pause.go_on()
    assert (await joining)["message"] == NO_CHAT
    await hears_nothing(house, peer, chat_id, client)


async def test_removed_while_being_shown_to_the_room(house: House) -> None:
    """One who was shown already is seen to leave again."""
    chat_id, peer, user = await scene(house)
    client = await house.connect(user)
    pause = Pause(house.built.chat.requests.rooms, "enter")
    joining = asyncio.create_task(client.request("join:chat", {"chatId": chat_id}))
    await pause.reached.wait()
    await house.rest.remove(peer.user, chat_id, user)
    pause.go_on()
    assert (await joining)["message"] == NO_CHAT
    await peer.wait("user:left", userId=user.id)
    peer.forget()
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


async def test_joining_again_while_another_chat_is_lost(house: House) -> None:
    """Whoever is in a room stays in it: nothing said meanwhile is missed, and nobody is told of a join."""
    chat_id, peer, user = await scene(house)
    other_id = await house.rest.chat(peer.user, user)
    client = await house.connect(user)
    await client.join(chat_id)
    client.forget()
    pause = Pause(house.built.chat.requests.rooms, "admit")
    joining = asyncio.create_task(client.join(chat_id))
    await pause.reached.wait()
    await house.rest.remove(peer.user, other_id, user)
    again = Pause(house.built.chat.requests.rooms, "admit")
    again.go_on()
    pause.go_on()
    await joining
    assert not again.reached.is_set()
    assert client.seen("room:joined") == []
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


async def test_others_who_are_removed_hold_up_nobody(house: House) -> None:
    """A recovery is checked once more for what its own user loses, not for what others do."""
    chat_id, peer, user = await scene(house)
    token, _ = await away(house, peer, chat_id, user)
    other = new_user("other")
    await house.rest.add(peer.user, chat_id, other)
    client = await house.connect(user)
    first = recovery_pause(house, "resume")
    recovering = asyncio.create_task(client.done("connection:recover", {"recoveryToken": token}))
    await first.reached.wait()
    again = recovery_pause(house, "resume")
    again.go_on()
    await house.rest.remove(peer.user, chat_id, other)
    first.go_on()
    assert (await recovering)["session"]["rooms"] == [chat_id]
    assert not again.reached.is_set()


@pytest.mark.parametrize("place", ["find_pid", "resume", "replay"])
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


async def test_a_blocked_address_makes_no_users(tmp_path: Path) -> None:
    """A private id and a recovery token that are nobody's lift no limit and leave no trace of the user."""
    async with running(tmp_path, connection_rate="1/5m") as house:
        await house.connect(new_user())
        stranger = new_user()
        socket = house.raw()
        await socket.open({"token": stranger.token(), "pid": "x", "recoveryToken": "x.y"})
        assert "RATE_LIMITED" in await socket.inbox.wait("44")
        assert await house.built.store.user(stranger.id) is None
