"""Delivery in the order of `seq`, each message once, whatever the bus does."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.chat.messages import Messages
from hubbub.chat.trail import Trail
from hubbub.cluster.base import Connection, MessageNew
from hubbub.cluster.local import LocalBus
from hubbub.contract import objects
from hubbub.gateway.clients import Client, Clients
from hubbub.gateway.delivery import Delivery
from hubbub.socketio import Server, Socket

CHAT = "chat-1"


def telling(seq: int) -> MessageNew:
    """The message of that number as the bus tells it."""
    author = objects.Author(id="u", username="u")
    message = objects.Message(
        id=f"m{seq}",
        content=f"text {seq}",
        type="text",
        chat_id=CHAT,
        user_id="u",
        created_at="2026-01-01T00:00:00.000Z",
        user=author,
        seq=seq,
        client_message_id=None,
    )
    return MessageNew(message=message, position=seq)


class FakeLog:
    """The messages of one chat, and how often somebody had to read them."""

    def __init__(self, committed: int) -> None:
        self.committed = committed
        self.fails = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def last_seq(self, _chat_id: str) -> int:
        """The newest number, known when the gate is open."""
        await self.gate.wait()
        return self.committed

    async def after(self, _chat_id: str, seq: int, before: int | None, limit: int) -> list[MessageNew]:
        """What is committed in between."""
        if self.fails:
            self.fails -= 1
            raise OSError("the disk is away")
        end = self.committed + 1 if before is None else min(before, self.committed + 1)
        return [telling(one) for one in range(seq + 1, end)][:limit]


class FakeSocket:
    """Collects what it is sent."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.rooms: set[str] = set()

    def join(self, room: str) -> None:
        """Enter a room."""
        self.rooms.add(room)

    def leave(self, room: str) -> None:
        """Leave a room."""
        self.rooms.discard(room)

    def send(self, packet: object) -> None:
        """Take a packet."""
        assert isinstance(packet, objects.Message)
        self.got.append(packet.seq)


class FakeServer:
    """Sends to those who joined; a packet is the message itself."""

    def __init__(self, sockets: Sequence[FakeSocket]) -> None:
        self.sockets = sockets

    def encode(self, _namespace: str, _name: str, message: object, offset: str | None = None) -> object:
        """The packet."""
        assert offset is not None
        return message

    def broadcast(self, _namespace: str, room: str, packet: object, _skip: object = None) -> int:
        """Send to the room."""
        told = [socket for socket in self.sockets if room in socket.rooms]
        for socket in told:
            socket.send(packet)
        return len(told)


def client_of(socket: FakeSocket) -> Client:
    """A client behind a fake socket."""
    who = Connection(
        socket_id=f"s{id(socket)}",
        user_id="u",
        username="u",
        email=None,
        role="user",
        address="127.0.0.1",
        user_agent="",
        connected_at=0,
    )
    return Client(cast("Socket", socket), who, Trail(who, offer_pid=False), 0)


def delivery_of(log: FakeLog, *sockets: FakeSocket) -> Delivery:
    """A delivery over fakes."""
    server = cast("Server", FakeServer(sockets))
    return Delivery(server, Clients(), cast("Messages", log), LocalBus(), "epoch")


async def settle(delivery: Delivery) -> None:
    """Wait until nothing is being read."""
    while delivery._tasks:
        await asyncio.wait(delivery._tasks)
        await asyncio.sleep(0)


@given(st.lists(st.integers(min_value=1, max_value=12), max_size=40))
def test_any_telling_gives_the_same_order(told: list[int]) -> None:
    """Lost, repeated and swapped tellings: the socket sees 4, 5, … up to the newest told, each once."""

    async def scenario() -> list[int]:
        log, socket = FakeLog(3), FakeSocket()
        delivery = delivery_of(log, socket)
        assert await delivery.enter(client_of(socket), CHAT) == 3
        log.committed = 12
        for seq in told:
            delivery.deliver(telling(seq))
        await settle(delivery)
        return socket.got

    newest = max([one for one in told if one > 3], default=3)
    assert asyncio.run(scenario()) == list(range(4, newest + 1))


async def test_told_while_the_room_opens() -> None:
    """A message committed while the first socket enters is neither lost nor told twice."""
    log, socket = FakeLog(5), FakeSocket()
    delivery = delivery_of(log, socket)
    log.gate.clear()
    entering = asyncio.create_task(delivery.enter(client_of(socket), CHAT))
    await asyncio.sleep(0)
    for seq in (5, 6, 7):
        delivery.deliver(telling(seq))
    log.gate.set()
    begins = await entering
    await settle(delivery)
    assert [*range(begins + 1, 8)] == [*range(begins + 1, begins + 1), *socket.got]
    delivery.deliver(telling(8))
    assert socket.got[-1] == 8


async def test_held_messages_follow_in_order() -> None:
    """What is told to a held socket comes at its release, before anything newer."""
    log, socket, other = FakeLog(0), FakeSocket(), FakeSocket()
    delivery = delivery_of(log, socket, other)
    client = client_of(socket)
    await delivery.enter(client_of(other), CHAT)
    assert await delivery.hold(client, CHAT) == 0
    delivery.deliver(telling(1))
    delivery.deliver(telling(2))
    assert socket.got == []
    delivery.release(client, [CHAT])
    delivery.deliver(telling(3))
    assert socket.got == other.got == [1, 2, 3]


async def test_a_gap_is_healed_once_the_log_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the log cannot be read nothing is skipped; afterwards the gap comes first."""
    monkeypatch.setattr("hubbub.gateway.delivery._HEAL_RETRY", 0.0)
    log, socket = FakeLog(0), FakeSocket()
    delivery = delivery_of(log, socket)
    await delivery.enter(client_of(socket), CHAT)
    log.committed, log.fails = 4, 3
    delivery.deliver(telling(4))
    assert socket.got == []
    await settle(delivery)
    assert socket.got == [1, 2, 3, 4]


async def test_what_the_log_does_not_have_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A telling of a message that there is not, out of a lost history or from somebody with access to the
    bus, is not looked for without end; what follows is told.
    """
    monkeypatch.setattr("hubbub.gateway.delivery._HEAL_RETRY", 0.0)
    log, socket = FakeLog(0), FakeSocket()
    delivery = delivery_of(log, socket)
    await delivery.enter(client_of(socket), CHAT)
    log.committed = 2
    for seq in (2, 9, 2**53):
        delivery.deliver(telling(seq))
    async with asyncio.timeout(5):
        await settle(delivery)
    assert socket.got == [1, 2]
    log.committed = 4
    delivery.deliver(telling(4))
    await settle(delivery)
    assert socket.got == [1, 2, 3, 4]


async def test_the_last_one_out_leaves_nothing_behind() -> None:
    """A room without sockets is forgotten, also when entering fails."""
    log, socket = FakeLog(0), FakeSocket()
    delivery = delivery_of(log, socket)
    client = client_of(socket)
    await delivery.enter(client, CHAT)
    delivery.leave(client, CHAT)
    assert not delivery._rooms
    log.gate.clear()
    entering = asyncio.create_task(delivery.enter(client, CHAT))
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.gather(entering, return_exceptions=True)
    log.gate.set()
    await settle(delivery)
    assert not delivery._rooms


async def test_whoever_comes_from_another_node_is_not_told_twice() -> None:
    """Among others a room is read up to the newest message before anybody enters: they may have had it."""
    log, sockets = FakeLog(3), [FakeSocket(), FakeSocket()]
    server, messages = cast("Server", FakeServer(sockets)), cast("Messages", log)
    delivery = Delivery(server, Clients(), messages, LocalBus(), "epoch", among_others=True)
    first, second = (client_of(socket) for socket in sockets)
    assert await delivery.enter(first, CHAT) == 3
    log.committed = 5
    assert await delivery.enter(second, CHAT) == 5
    for late in (4, 5, 6):
        delivery.deliver(telling(late))
    assert [socket.got for socket in sockets] == [[4, 5, 6], [6]]
    await delivery.close()
