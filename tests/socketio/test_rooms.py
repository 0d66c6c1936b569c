"""Rooms and broadcasts: who gets what, encoded how often, and in which variant."""

from collections.abc import Mapping
from typing import cast

import pytest

from hubbub.engineio import Prepared, closing
from hubbub.socketio import Outgoing, Server, Socket, Welcome
from tests.socketio.fakes import Client, FakeSession, Recorder, eventually, make_server


class Members:
    """A server with some clients in it; its engine does not run, `end_turn` does what it would."""

    def __init__(self) -> None:
        self.application = Recorder()
        self.application.on_connect = self._welcome
        self.server: Server = make_server({"/": self.application})

    async def _welcome(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
        return Welcome(pid=cast("str | None", auth.get("pid")))

    def end_turn(self) -> None:
        """What is kept until the end of the turn goes to the sessions."""
        self.server.engine.flusher.spread()

    async def add(self, *rooms: str, pid: str | None = None) -> tuple[Client, Socket]:
        """A client that is connected and in the rooms."""
        client = Client(self.server)
        await client.enter("0" if pid is None else f'0{{"pid":"{pid}"}}')
        socket = self.application.sockets[-1]
        for room in rooms:
            socket.join(room)
        return client, socket


async def test_everybody_gets_everything_in_the_order_of_sending() -> None:
    """Bursts of rooms, single packets and changes of membership in one turn: as if each were sent at once."""
    members = Members()
    (a, first), (b, second) = await members.add("x", "y"), await members.add("y")
    server = members.server

    def shout(room: str | None, n: int, *skip: Socket) -> None:
        server.broadcast("/", room, server.encode("/", "n", [n]), skip=skip)

    shout("x", 1)
    shout("x", 2)
    shout("y", 3)
    shout("x", 4)
    first.emit("n", [5])
    shout("y", 6, first)
    shout("y", 7)
    shout("x", 8)
    second.join("x")
    first.leave("x")
    shout("x", 9)
    shout(None, 10)
    first.disconnect()
    shout("y", 11)
    members.end_turn()
    numbers = [[n for n in range(12) if f'2["n",[{n}]]' == text] for text in map(str, a.session.sent)]
    assert [n for found in numbers for n in found] == [1, 2, 3, 4, 5, 7, 8, 10]
    assert [str(text) for text in b.session.sent] == [f'2["n",[{n}]]' for n in (3, 6, 7, 9, 10, 11)]


async def test_broadcast_reaches_the_room_and_nobody_else() -> None:
    """The room, or everyone in the namespace, without the one that is skipped; the count says how many."""
    members = Members()
    (a, first), (b, second), (c, _) = await members.add("x"), await members.add("x", "y"), await members.add()
    server = members.server
    packet = server.encode("/", "news", {"n": 1})
    assert server.broadcast("/", "x", packet) == 2
    assert server.broadcast("/", "x", packet, skip=(first,)) == 1
    assert server.broadcast("/", "y", packet, skip=(first,)) == 1
    assert server.broadcast("/", "nobody", packet) == 0
    assert server.broadcast("/", None, packet) == 3
    assert server.broadcast("/", None, packet, skip=(second,)) == 2
    members.end_turn()
    text = '2["news",{"n":1}]'
    assert (a.session.sent, b.session.sent, c.session.sent) == ([text] * 3, [text] * 4, [text] * 2)
    assert server.members("/", "x") == [first, second]
    assert server.count_members("/", "y") == 1


async def test_one_encoding_serves_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """All recipients of a broadcast are handed the same objects, even the same list."""
    handed: list[list[Prepared]] = []
    monkeypatch.setattr(FakeSession, "send_all", lambda self, packets, size: handed.append(packets))
    members = Members()
    for _ in range(3):
        client = Client(members.server)
        client.say("0")
    await eventually(lambda: len(members.application.sockets) == 3)
    handed.clear()
    members.server.broadcast("/", None, members.server.encode("/", "file", b"bytes"))
    members.end_turn()
    assert len(handed) == 3
    assert all(packets is handed[0] for packets in handed)
    assert len(handed[0]) == 2


async def test_attachments_follow_their_text() -> None:
    """Each member gets the text, then the attachments in their order."""
    members = Members()
    clients = [(await members.add("x"))[0] for _ in range(2)]
    members.server.broadcast("/", "x", members.server.encode("/", "files", [b"1", b"2"]))
    members.end_turn()
    for client in clients:
        text, *attachments = client.session.sent
        assert str(text).startswith('52-["files",[')
        assert attachments == [b"1", b"2"]


async def test_offset_goes_to_those_who_recover() -> None:
    """A socket that was welcomed with a pid gets the offset at the end, every other one does not see it."""
    members = Members()
    (plain, _), (marked, recovering) = await members.add("x"), await members.add("x", pid="p")
    server = members.server
    server.broadcast("/", "x", server.encode("/", "news", {"n": 1}, offset='o"1'))
    server.broadcast("/", "x", server.encode("/", "typing", {"n": 2}))
    server.broadcast("/", "x", server.encode("/", "file", b"f", offset="o2"))
    recovering.send(server.encode("/", "alone", offset="o3"))
    assert plain.session.sent[:2] == ['2["news",{"n":1}]', '2["typing",{"n":2}]']
    assert plain.session.sent[2:] == ['51-["file",{"_placeholder":true,"num":0}]', b"f"]
    assert marked.session.sent[:2] == ['2["news",{"n":1},"o\\"1"]', '2["typing",{"n":2}]']
    assert marked.session.sent[2:4] == ['51-["file",{"_placeholder":true,"num":0},"o2"]', b"f"]
    assert marked.session.sent[4:] == ['2["alone","o3"]']
    assert server.broadcast("/", "x", server.encode("/", "news"), skip=(recovering,)) == 1


def test_variants_are_made_once() -> None:
    """Neither variant is encoded before it is needed, nor twice; without an offset there is only one."""
    packet = Outgoing(b'2["a"]', (), "o")
    assert packet.plain is packet.plain
    assert packet.marked is packet.marked
    unmarked = Outgoing(b'2["a"]')
    assert unmarked.marked is unmarked.plain


async def test_joining_and_leaving() -> None:
    """Both may be repeated; a room is gone with its last member."""
    members = Members()
    client, socket = await members.add("x", "x")
    assert socket.rooms == {"x"}
    socket.leave("x")
    socket.leave("x")
    socket.leave("never joined")
    assert socket.rooms == set()
    assert members.server.broadcast("/", "x", members.server.encode("/", "a")) == 0
    assert members.server._spaces["/"].rooms._named == {}
    assert client.session.sent == []


@pytest.mark.parametrize("end", ["client", "server", "transport"])
async def test_whoever_leaves_is_out_of_its_rooms_at_once(end: str) -> None:
    """Nothing is sent to it from then on; `rooms_left` tells the application which rooms those were."""
    members = Members()
    client, socket = await members.add("x", "y")
    seen: list[object] = []

    def disconnected(socket: Socket, reason: str) -> None:
        seen.append((set(socket.rooms), set(socket.rooms_left)))

    members.application.disconnected = disconnected  # type: ignore[method-assign]  # looks at the moment itself
    if end == "client":
        client.say("1")
    elif end == "server":
        socket.disconnect()
    else:
        client.vanish(closing.TRANSPORT_CLOSE)
    client.session.take()
    packet = members.server.encode("/", "a")
    assert [members.server.broadcast("/", room, packet) for room in ("x", "y", None)] == [0, 0, 0]
    socket.join("late")
    socket.emit("a")
    socket.send(packet)
    await eventually(lambda: seen)
    assert seen == [(set(), {"x", "y", "late"})]
    socket.join("too late")
    assert socket.rooms == set()
    assert client.session.sent == []
    assert members.server._spaces["/"].rooms._named == {}


async def test_found_by_id() -> None:
    """Sockets can be found while they are connected, in their namespace."""
    members = Members()
    _, socket = await members.add()
    assert members.server.find("/", socket.id) is socket
    assert members.server.sockets("/") == [socket]
    assert members.server.find("/", "other") is None
    socket.disconnect()
    assert members.server.find("/", socket.id) is None


def numbers_of(client: Client) -> list[int]:
    """The numbers that were sent to a client, in order."""
    return [int(str(text).removeprefix('2["n",[').removesuffix("]]")) for text in client.session.sent]


async def test_what_can_wait_leaves_when_it_is_released_and_reaches_whoever_was_there() -> None:
    """It waits past the turn, for those who were there when it was sent and are not left out of it."""
    members = Members()
    (a, _), (b, second), (c, third) = [await members.add() for _ in range(3)]
    server = members.server

    def whisper(n: int, *skip: Socket) -> None:
        server.broadcast_later("/", server.encode("/", "n", [n]), skip)

    whisper(1)
    whisper(2, second, third)
    d, fourth = await members.add()
    whisper(3, second)
    members.end_turn()
    assert [numbers_of(client) for client in (a, b, c)] == [[], [], []]
    server.release("/")
    fourth.emit("n", [4])
    members.end_turn()
    d.session.sent[:] = [text for text in d.session.sent if "[[" not in str(text) and '"n"' in str(text)]
    assert [numbers_of(client) for client in (a, b, c, d)] == [[1, 2, 3], [1], [1, 3], [3, 4]]


async def test_what_waits_goes_before_the_next_broadcast_to_everyone() -> None:
    """In the order of sending; and whoever leaves meanwhile takes nothing from the others."""
    members = Members()
    (a, _), (_, second) = await members.add(), await members.add()
    server = members.server
    server.broadcast_later("/", server.encode("/", "n", [1]), (second,))
    second.disconnect()
    server.broadcast("/", None, server.encode("/", "n", [2]))
    members.end_turn()
    assert numbers_of(a) == [1, 2]


async def test_any_number_of_members_can_be_left_out() -> None:
    """However many get only a part of it, each gets just that part, in order."""
    members = Members()
    added = [await members.add("x") for _ in range(300)]
    server = members.server
    for n, (_, socket) in enumerate(added):
        assert server.broadcast("/", "x", server.encode("/", "n", [n]), skip=(socket,)) == 299
    members.end_turn()
    assert all(
        numbers_of(client) == [n for n in range(300) if n != own] for own, (client, _) in enumerate(added)
    )


async def test_what_can_wait_does_not_overtake_a_room_when_many_are_left_out() -> None:
    """However many members get only a part: what was sent to another room before is there before."""
    members = Members()
    client, _ = await members.add("x")
    others = [(await members.add())[1] for _ in range(200)]
    server = members.server
    server.broadcast("/", "x", server.encode("/", "n", [0]))
    for n, other in enumerate(others, 1):
        server.broadcast_later("/", server.encode("/", "n", [n]), [other])
    server.release("/")
    members.end_turn()
    assert numbers_of(client) == list(range(201))
