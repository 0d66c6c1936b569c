"""Several connections that come with the same private id at once: one after the other has the socket's id.

What is kept by that id (rooms, presence, the session) never belongs to two of them.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.inprocess import House, running
from tests.faults.pauses import Pause
from tests.harness.clients import Client, Json
from tests.harness.inbox import eventually
from tests.harness.raw_client import RawSocket
from tests.harness.users import User, new_user

ROUNDS = 60


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A server in this process."""
    async with running(tmp_path) as house:
        yield house


def welcome(socket: RawSocket) -> Json | None:
    """The answer to CONNECT, if it has come."""
    return socket._connected()


async def welcomed(socket: RawSocket) -> Json:
    """The answer to CONNECT, once it has come."""
    return await socket.inbox.until(lambda: welcome(socket), 8, "the answer to CONNECT")


async def scene(house: House) -> tuple[str, Client, User, str, Json]:
    """A chat, a client in its room, and a member who was there; the member's socket id and next CONNECT."""
    owner, user = new_user("owner"), new_user("member")
    chat_id = await house.rest.chat(owner, user)
    peer = await house.connect(owner)
    await peer.join(chat_id)
    socket = house.raw()
    await socket.open({"token": user.token()})
    facts = await welcomed(socket)
    await socket.request("join:chat", {"chatId": chat_id})
    await socket.close()
    await peer.wait("user:left", userId=user.id)
    return chat_id, peer, user, facts["sid"], {"token": user.token(), "pid": facts["pid"]}


async def only_the_peer_is_left(house: House, peer: Client, chat_id: str) -> None:
    """Nobody but the peer is connected, and the room says so."""

    async def gone() -> bool:
        return len(house.built.clients) == 1

    await eventually(gone, what="everybody else to be cleared away")
    assert (await peer.done("room:info", {"chatId": chat_id}))["roomInfo"]["onlineCount"] == 1
    online = (await peer.done("room:online", {"chatId": chat_id}))["onlineUsers"]
    assert [one["userId"] for one in online] == [peer.user.id]


async def test_the_one_before_is_cleared_away_first(house: House) -> None:
    """One that comes while another is on its way in waits; the room and presence count right afterwards."""
    chat_id, peer, user, sid, auth = await scene(house)
    recovery, clients = house.built.chat.requests.recovery, house.built.clients
    on_the_way, ending = Pause(recovery, "resume"), Pause(recovery, "end")
    first, second = house.raw(), house.raw()
    await first.open(auth)
    await on_the_way.reached.wait()
    await second.open(auth)

    async def in_or_waiting() -> bool:
        holder = clients.find(sid)
        return holder is not None and (welcome(second) is not None or holder.ended is not None)

    await eventually(in_or_waiting, what="the second to come as far as it can")
    await second.close()
    on_the_way.go_on()
    await welcomed(first)
    await asyncio.wait_for(ending.reached.wait(), 8)
    ending.go_on()
    await first.close()
    await only_the_peer_is_left(house, peer, chat_id)

    third = house.raw()
    await third.open(auth)
    await welcomed(third)
    await peer.wait("user:joined", userId=user.id)
    await third.close()
    await only_the_peer_is_left(house, peer, chat_id)


async def test_whoever_gives_up_waiting_leaves_nothing(house: House) -> None:
    """A connection that ends while it waits for the one before it has claimed nothing."""
    chat_id, peer, user, _, auth = await scene(house)
    first = house.raw()
    await first.open(auth)
    facts = await welcomed(first)
    ending = Pause(house.built.chat.requests.recovery, "end")
    second = house.raw()
    await second.open(auth)
    await ending.reached.wait()
    await second.close()
    ending.go_on()
    await first.close()
    await only_the_peer_is_left(house, peer, chat_id)
    third = house.raw()
    await third.open({**auth, "pid": facts["pid"]})
    assert (await welcomed(third))["sid"] == facts["sid"]
    await peer.wait("user:joined", userId=user.id)


async def test_races(house: House) -> None:
    """However two of them meet, and whichever goes first, nothing of them is left."""
    chat_id, peer, _, _, auth = await scene(house)
    delays = random.Random(1)

    async def come_and_go(socket: RawSocket, delay: float) -> None:
        await asyncio.sleep(delay)
        await socket.open(auth)
        await socket.inbox.until(
            lambda: True if any(packet[:2] in ("40", "44") for packet in socket.packets) else None,
            8,
            "a word",
        )
        await socket.close()

    for _ in range(ROUNDS):
        sockets = (RawSocket(house.url), RawSocket(house.url))
        await asyncio.gather(*(come_and_go(socket, delays.uniform(0, 0.004)) for socket in sockets))
    await only_the_peer_is_left(house, peer, chat_id)
