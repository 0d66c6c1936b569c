"""The frame reader says the same as the general parser alone, wherever the bytes are cut."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from hubbub.engineio.frames import FrameReader, Incoming

LIMIT = 70_000

TEXTS = st.one_of(st.binary(max_size=200), st.sampled_from([b"", b"x" * 125, b"x" * 126, b"y" * 65_536]))
FRAMES = st.one_of(
    TEXTS.map(lambda data: [Frame(Opcode.TEXT, data)]),
    TEXTS.map(lambda data: [Frame(Opcode.BINARY, data)]),
    st.binary(max_size=125).map(lambda data: [Frame(Opcode.PING, data)]),
    st.binary(max_size=125).map(lambda data: [Frame(Opcode.PONG, data)]),
    st.lists(st.binary(max_size=40), min_size=2, max_size=4).map(
        lambda parts: [
            Frame(Opcode.CONT if place else Opcode.TEXT, part, fin=place == len(parts) - 1)
            for place, part in enumerate(parts)
        ]
    ),
)


def on_the_wire(frames: Iterable[Frame]) -> bytes:
    """Frames as a client sends them."""
    return b"".join(frame.serialize(mask=True) for frame in frames)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The data in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


def read(chunks: Iterable[bytes]) -> tuple[list[tuple[Incoming, bytes]], bytes]:
    """What the reader says, up to the first thing that ends the connection, and what it answers."""
    reader = FrameReader(LIMIT)
    found: list[tuple[Incoming, bytes]] = []
    answers = b""
    for chunk in chunks:
        for one in reader.read(chunk):
            found.append(one)
            if one[0] not in (Incoming.TEXT, Incoming.BINARY, Incoming.IDLE):
                return found, answers
        answers += b"".join(reader.answers())
    return found, answers


def parse(data: bytes) -> tuple[list[tuple[Incoming, bytes]], bytes]:
    """What the general parser says to all of it at once."""
    parser = ServerProtocol(state=OPEN, max_size=LIMIT)
    parser.receive_data(data)
    found: list[tuple[Incoming, bytes]] = []
    parts: list[Frame] = []
    for frame in parser.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            found.append((Incoming.IDLE, b""))
            continue
        parts.append(frame)
        if frame.fin:
            kind = Incoming.TEXT if parts[0].opcode is Opcode.TEXT else Incoming.BINARY
            found.append((kind, b"".join(part.data for part in parts)))
            parts = []
    return found, b"".join(parser.data_to_send())


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(min_value=0), max_size=12))
def test_the_same_as_the_parser_alone(messages: list[list[Frame]], places: list[int]) -> None:
    """Every message, ping and pong once and in order, with the same answers, in pieces of any size."""
    data = on_the_wire(frame for message in messages for frame in message)
    assert read(cut(data, places)) == parse(data)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_byte_by_byte(size: int) -> None:
    """Heads and masks may be cut anywhere."""
    texts = [b"", b"4hello", b"x" * 126, b"y" * 300]
    data = on_the_wire(Frame(Opcode.TEXT, text) for text in texts)
    found, _ = read(data[at : at + size] for at in range(0, len(data), size))
    assert found == [(Incoming.TEXT, text) for text in texts]


TEXT = on_the_wire([Frame(Opcode.TEXT, b"text")])
BEGUN = on_the_wire([Frame(Opcode.TEXT, b"begun", fin=False)])


# By name: masks are random, and tests that run side by side have to agree on what they are called.
ENDS = {
    "extension bits": (b"\xc1" + TEXT[1:], Incoming.BROKEN),
    "no mask": (b"\x81\x04text", Incoming.BROKEN),
    "a message within another": (BEGUN + TEXT, Incoming.BROKEN),
    "an orphan": (on_the_wire([Frame(Opcode.CONT, b"orphan")]), Incoming.BROKEN),
    "too long": (on_the_wire([Frame(Opcode.TEXT, b"x" * (LIMIT + 1))])[:20], Incoming.TOO_BIG),
    "absurdly long": (b"\x81\xff\x7f" + b"\xff" * 7, Incoming.TOO_BIG),
    "a close": (on_the_wire([Frame(Opcode.CLOSE, b"\x03\xe8")]), Incoming.CLOSE),
}


@pytest.mark.parametrize(("data", "end"), ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("before", [0, 1, 3])
def test_what_ends_a_connection(data: bytes, end: Incoming, before: int) -> None:
    """Extension bits, no mask, a message within another, orphans and what is too long; good frames before."""
    found, _ = read([TEXT * before + data])
    assert found[-1][0] is end
    assert found[:before] == [(Incoming.TEXT, b"text")] * before


def test_limit() -> None:
    """A message of just the greatest length passes."""
    longest = b"x" * LIMIT
    found, _ = read(cut(on_the_wire([Frame(Opcode.TEXT, longest)]), [5, 40_000]))
    assert found == [(Incoming.TEXT, longest)]
    found, _ = read([on_the_wire([Frame(Opcode.TEXT, b"y" * 65_535)])])
    assert found == [(Incoming.TEXT, b"y" * 65_535)]
