"""What a socket was told last, and Socket.IO's own recovery by it: nodes tell several chats, each in an order
of its own, which is not that of positions; a client goes from one to the other.
"""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import NamedTuple, cast

from hypothesis import given
from hypothesis import strategies as st

from hubbub.chat import wire
from hubbub.chat.backlog import Backlog
from hubbub.chat.messages import Messages
from hubbub.chat.recovery import Recovery, Resumed
from hubbub.chat.trail import Place, hashed
from hubbub.cluster.base import Connection, MessageNew
from hubbub.cluster.local import LocalBus
from hubbub.contract import objects
from hubbub.gateway.clients import Client, Clients
from hubbub.gateway.delivery import Delivery
from hubbub.gateway.order import _KEPT, Order
from hubbub.socketio import Server, Socket
from hubbub.store import records
from hubbub.store.base import Log, Store

CHATS = ("a", "b", "c")
HOPS = 4
STEPS = 25


class Got(NamedTuple):
    """A message as a socket gets it."""

    chat_id: str
    seq: int
    offset: str | None


class FakeLog:
    """The log, with positions that grow in each chat and say little about the order over all."""

    def __init__(self, rnd: Random) -> None:
        self.chats: dict[str, list[records.Message]] = {chat_id: [] for chat_id in CHATS}
        self._shift = {chat_id: rnd.randint(0, 6) for chat_id in CHATS}

    def orders_all_chats(self) -> bool:
        return False

    def commit(self, chat_id: str) -> None:
        """One more message."""
        seq = len(self.chats[chat_id]) + 1
        message = records.Message(
            id=f"{chat_id}{seq}",
            chat_id=chat_id,
            seq=seq,
            position=(seq + self._shift[chat_id]) * len(CHATS) + CHATS.index(chat_id),
            user_id="ann",
            username="ann",
            content="hello",
            type="text",
            client_message_id=None,
            created_at=0,
        )
        self.chats[chat_id].append(message)

    async def read(
        self, chat_id: str, *, after: int = 0, before: int | None = None, limit: int
    ) -> list[records.Message]:
        return [one for one in self.chats[chat_id] if after < one.seq < (before or 10**9)][:limit]

    async def last_seq(self, chat_id: str) -> int:
        return len(self.chats[chat_id])

    async def after(self, chat_id: str, seq: int, before: int | None, limit: int) -> list[MessageNew]:
        found = await self.read(chat_id, after=seq, before=before, limit=limit)
        return [MessageNew(message=wire.message(one), position=one.position) for one in found]


class FakeStore:
    """Keeps the session that was saved last; what is saved late waits, by node."""

    def __init__(self) -> None:
        self.session: records.RecoverySession | None = None
        self.late: dict[Node, records.RecoverySession] = {}
        self.late_for: Node | None = None

    def save_session(self, session: records.RecoverySession, **_: object) -> "asyncio.Future[None]":
        if self.late_for is not None:
            self.late[self.late_for] = session
        else:
            self.store(session)
        saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        saved.set_result(None)
        return saved

    def store(self, session: records.RecoverySession) -> None:
        """Keep a session, unless another socket has taken it up."""
        before = self.session
        if before is None or before.id != session.id or before.taken_at <= session.taken_at:
            self.session = session


class FakeSocket:
    """Collects what it is sent."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.rooms: set[str] = set()

    def join(self, room: str) -> None:
        self.rooms.add(room)

    def leave(self, room: str) -> None:
        self.rooms.discard(room)

    def send(self, packet: Got) -> None:
        self.got.append(packet)


class FakeServer:
    """Sends to those who joined."""

    def __init__(self) -> None:
        self.sockets: list[FakeSocket] = []

    def encode(self, _namespace: str, _name: str, message: objects.Message, offset: str | None) -> Got:
        return Got(message.chat_id, message.seq, offset)

    def broadcast(self, _namespace: str, room: str, packet: Got, _skip: object = None) -> int:
        for socket in self.sockets:
            if room in socket.rooms:
                socket.send(packet)
        return len(self.sockets)


class Node:
    """A node, with somebody in each room."""

    def __init__(self, log: FakeLog, store: FakeStore) -> None:
        self.log = log
        self.server = FakeServer()
        messages, server = cast("Messages", log), cast("Server", self.server)
        self.delivery = Delivery(server, Clients(), messages, LocalBus(), "epoch", among_others=True)
        self.backlog = Backlog(cast("Log", log), 10**6)
        self.recovery = Recovery(cast("Store", store), self.backlog, ttl=100.0, window=100.0)

    def client(self) -> Client:
        """Somebody new."""
        socket = FakeSocket()
        self.server.sockets.append(socket)
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
        client = Client(cast("Socket", socket), who, self.recovery.begin(who, offer_pid=True), 0)
        client.trail.follow(self.delivery.count(), [])
        return client

    async def fill(self) -> None:
        """Put somebody in each room."""
        other = self.client()
        for chat_id in CHATS:
            await self.delivery.enter(other, chat_id)

    async def tell(self, chat_id: str) -> None:
        """Tell the next message of a chat, if there is one."""
        told = self.delivery.told()[chat_id]
        for one in await self.log.after(chat_id, told, told + 2, 1):
            self.delivery.deliver(one)


class Life:
    """A client that goes from node to node. With `faults`, the end of a connection may be stored late, when
    it is on another one already, or never.
    """

    def __init__(self, rnd: Random, *, faults: bool) -> None:
        self.rnd = rnd
        self.faults = faults
        self.log = FakeLog(rnd)
        self.store = FakeStore()
        self.nodes = [Node(self.log, self.store) for _ in range(2)]
        # What it has, behind what in each chat, and the offset that it would name.
        self.received: list[tuple[str, int]] = []
        self.entered: dict[str, int] = {}
        self.offset: str | None = None
        # Of this connection: what an answered heartbeat told, and what one under way would.
        self.confirmed = 0
        self.marked: int | None = None

    async def go(self) -> None:
        """Live, be cut, come back; several times."""
        for node in self.nodes:
            await node.fill()
        node = self.rnd.choice(self.nodes)
        client = node.client()
        for _ in range(HOPS):
            await self.connected(node, client)
            await self.cut(node, client)
            node = self.rnd.choice(self.nodes)
            # The same node has stored that by now, or has failed to.
            if (late := self.store.late.pop(node, None)) and self.rnd.random() < 0.5:
                self.store.store(late)
            session = self.store.session
            if session is None:
                return
            returned = await self.come_back(node, session)
            if returned is None:
                assert self.faults
                return
            client = returned

    async def happen(self) -> None:
        """Something is committed, or told by some node."""
        if self.rnd.random() < 0.4:
            self.log.commit(self.rnd.choice(CHATS))
        else:
            await self.rnd.choice(self.nodes).tell(self.rnd.choice(CHATS))

    async def connected(self, node: Node, client: Client) -> None:
        """A connection's life."""
        self.confirmed, self.marked = 0, None
        for _ in range(STEPS):
            chance = self.rnd.random()
            if self.store.late and chance < 0.05:
                self.store.store(self.store.late.popitem()[1])
            elif chance < 0.1:
                await self.join(node, client, self.rnd.choice(CHATS))
            elif chance < 0.15:
                node.recovery.ping_sent(client.trail, node.delivery.live(client), node.delivery.count())
                self.marked = len(got_by(client))
            elif chance < 0.2 and self.marked is not None:
                node.recovery.pong(client.trail)
                self.confirmed, self.marked = self.marked, None
            else:
                await self.happen()

    async def join(self, node: Node, client: Client, chat_id: str) -> None:
        """Enter a room."""
        if chat_id not in client.rooms:
            self.entered[chat_id] = seq = await node.delivery.enter(client, chat_id)
            await node.recovery.joined(client.trail, chat_id, seq)

    async def cut(self, node: Node, client: Client) -> None:
        """The client got no more than a part; the node goes on for a while before it notices."""
        got = got_by(client)
        kept = got[: self.rnd.randint(self.confirmed, len(got))]
        self.received += [(one.chat_id, one.seq) for one in kept]
        if kept:
            self.offset = kept[-1].offset
        for _ in range(self.rnd.randint(0, STEPS)):
            await self.happen()
        node.server.sockets.remove(cast("FakeSocket", client.socket))
        self.store.late_for = node if self.faults and self.rnd.random() < 0.5 else None
        await node.recovery.end(client.trail, node.delivery.last_told(client), on_purpose=False)
        self.store.late_for = None
        node.delivery.leave_all(client)
        for _ in range(self.rnd.randint(0, STEPS)):
            await self.happen()

    async def come_back(self, node: Node, session: records.RecoverySession) -> Client | None:
        """Be recovered, as `Login` and `ChatNamespace` do it."""
        client, delivery = node.client(), node.delivery
        upto = {chat_id: await delivery.hold(client, chat_id) for chat_id in session.positions}
        offset = None if self.offset is None else delivery.parse_offset(self.offset)
        replay = await node.backlog.replay(session.positions, upto, offset, session.last_told)
        if replay is None:
            return None
        for _ in range(self.rnd.randint(0, STEPS)):
            await self.happen()
        self.check([(one.message.chat_id, one.message.seq) for one in replay.messages], upto)
        trail = client.trail
        taken = session.taken_at + 1
        trail.move(Place(session.id, 0, replay.positions, trail.keys, trail.pid, 0, taken_at=taken))
        node.recovery._open[session.id] = trail
        for one in replay.messages:
            client.socket.send(delivery.encode_message(one))
        trail.follow(delivery.count(), [*replay.messages, *delivery.release(client, list(client.rooms))])
        return client

    def check(self, replayed: list[tuple[str, int]], upto: dict[str, int]) -> None:
        """With what the client has, this is everything, once and in order."""
        for chat_id, entered in self.entered.items():
            all_ = [seq for chat, seq in self.received + replayed if chat == chat_id]
            assert all_ == list(range(entered + 1, upto[chat_id] + 1))


def got_by(client: Client) -> Sequence[Got]:
    """What a client was sent."""
    return cast("FakeSocket", client.socket).got


async def test_only_what_is_known_for_sure() -> None:
    """It begins at the last answered heartbeat. Nothing is known of a socket that has left a room since, or
    that is kept waiting, nor of one that was told too much.
    """
    log = FakeLog(Random(1))
    node = Node(log, FakeStore())
    client = node.client()

    def last_told() -> list[tuple[str, int]] | None:
        told = node.delivery.last_told(client)
        return None if told is None else told.messages

    async def tell(*chat_ids: str) -> None:
        for chat_id in chat_ids:
            log.commit(chat_id)
            await node.tell(chat_id)

    def beat() -> None:
        node.recovery.ping_sent(client.trail, node.delivery.live(client), node.delivery.count())
        node.recovery.pong(client.trail)

    await node.fill()
    for chat_id in "ab":
        await node.delivery.enter(client, chat_id)
    await tell(*"abca")
    assert last_told() == [("a", 1), ("b", 1), ("a", 2)]
    beat()
    await tell(*"cbab")
    assert last_told() == [("b", 2), ("a", 3), ("b", 3)]
    node.delivery.leave(client, "b")
    assert last_told() is None
    beat()
    await node.delivery.hold(client, "c")
    assert last_told() is None
    node.delivery.release(client, ["c"])
    await tell("a")
    assert last_told() == [("a", 4)]
    await tell(*["a"] * 4000)
    assert last_told() is None
    beat()
    assert last_told() == []


async def test_a_heartbeat_before_the_answer_confirms_nothing() -> None:
    """A heartbeat may go out while a socket that takes a session up enters its rooms, with the answer still
    to come: that may be lost, and is asked for again with the same token.
    """
    log, store = FakeLog(Random(1)), FakeStore()
    node = Node(log, store)
    await node.fill()
    before, client = node.client(), node.client()
    token = (await node.recovery.create(before.trail)).token
    await node.recovery.joined(before.trail, "a", await node.delivery.enter(before, "a"))
    await node.recovery.end(before.trail, None, on_purpose=False)
    for _ in range(3):
        log.commit("a")
        await node.tell("a")
    await node.delivery.enter(client, "a")
    session = cast("records.RecoverySession", store.session)
    resumed = Resumed(session, session.positions, [])
    missed = await node.backlog.queue(session.positions, {"a": 3})
    new = await node.recovery.take_over(client.trail, resumed, hashed(token.partition(".")[2]))
    node.recovery.ping_sent(client.trail, node.delivery.live(client), node.delivery.count())
    answer, _ = node.recovery.recovered(client.trail, resumed, missed, new)
    assert [one.seq for one in answer.session.message_queue] == [1, 2, 3]
    node.recovery.pong(client.trail)
    assert client.trail.positions == {"a": 0}
    assert client.trail.keys.spent_hash is not None
    node.recovery.ping_sent(client.trail, node.delivery.live(client), node.delivery.count())
    node.recovery.pong(client.trail)
    assert client.trail.positions == {"a": 3}
    assert client.trail.keys.spent_hash is None


def test_numbers_are_forgotten() -> None:
    """The oldest go, whatever room they are of; who needs them is told so."""
    order, quiet, busy = Order(), None, None
    quiet = order.note(quiet)
    for _ in range(_KEPT):
        busy = order.note(busy)
    assert (order.knows(0), order.knows(1)) == (False, True)
    assert list(order.behind(1, quiet, 5)) == []
    assert next(order.behind(1, busy, _KEPT)) == (_KEPT + 1, _KEPT)
    assert len(list(order.behind(1, busy, _KEPT))) == _KEPT


@given(st.randoms(use_true_random=False))
def test_everything_once(rnd: Random) -> None:
    """Whatever was told in which order and confirmed, and wherever the client was cut: on any node it is
    recovered, and has everything, once and in order in each chat.
    """
    asyncio.run(Life(rnd, faults=False).go())


@given(st.randoms(use_true_random=False))
def test_everything_once_or_anew(rnd: Random) -> None:
    """Where the end of a connection is stored late or never, a client that is recovered has everything all
    the same, once and in order in each chat.
    """
    asyncio.run(Life(rnd, faults=True).go())
