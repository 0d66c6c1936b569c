"""The codec alone: what the specification shows, what round trips, what is refused cheaply."""

import json
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.socketio.packets import (
    MAX_ACK_ID,
    RESERVED_EVENTS,
    Ack,
    Assembly,
    Connect,
    Disconnect,
    Event,
    Packet,
    decode,
    encode_ack,
    encode_connect,
    encode_connect_error,
    encode_disconnect,
    encode_event,
)
from hubbub.socketio.payloads import MAX_DEPTH, PacketError


def whole(text: str, *attachments: bytes) -> Packet:
    """The packet that a text and its attachments make."""
    packet = decode(text)
    if not isinstance(packet, Assembly):
        assert not attachments
        return packet
    *first, last = attachments
    assert [packet.add(attachment) for attachment in first] == [None] * len(first)
    done = packet.add(last)
    assert done is not None
    return done


EXAMPLES: list[tuple[str, tuple[bytes, ...], Packet]] = [
    ("0", (), Connect("/", {})),
    ('0{"token":"123"}', (), Connect("/", {"token": "123"})),
    ("0/admin,", (), Connect("/admin", {})),
    ("0/admin", (), Connect("/admin", {})),
    ('0/admin,{"token":"123"}', (), Connect("/admin", {"token": "123"})),
    ("1", (), Disconnect("/")),
    ("1/admin,", (), Disconnect("/admin")),
    ('2["foo"]', (), Event("/", "foo", [])),
    ('2/admin,["bar"]', (), Event("/admin", "bar", [])),
    ('212["foo"]', (), Event("/", "foo", [], 12)),
    ('2/admin,0["foo",null]', (), Event("/admin", "foo", [None], 0)),
    ('3/admin,13["bar"]', (), Ack("/admin", ["bar"], 13)),
    ("312[]", (), Ack("/", [], 12)),
    ('51-["baz",{"_placeholder":true,"num":0}]', (b"\1\2",), Event("/", "baz", [b"\1\2"])),
    (
        '52-/admin,7["baz",{"a":[{"_placeholder":true,"num":1}]},{"num":0,"_placeholder":true}]',
        (b"\1", b"\2"),
        Event("/admin", "baz", [{"a": [b"\2"]}, b"\1"], 7),
    ),
    ('61-15["bar",{"_placeholder":true,"num":0}]', (b"",), Ack("/", ["bar", b""], 15)),
]


@pytest.mark.parametrize(("text", "attachments", "packet"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
def test_reads_what_the_specification_shows(
    text: str, attachments: tuple[bytes, ...], packet: Packet
) -> None:
    """Every form of the section "Packet encoding" that a client may send is understood."""
    assert whole(text, *attachments) == packet


def test_writes_what_the_specification_shows() -> None:
    """The forms that a server sends, byte for byte."""
    assert encode_connect("/", "abc", None) == (b'0{"sid":"abc"}', ())
    assert encode_connect("/admin", "abc", "p") == (b'0/admin,{"sid":"abc","pid":"p"}', ())
    assert encode_connect_error("/", "Not authorized", None) == (b'4{"message":"Not authorized"}', ())
    assert encode_connect_error("/a", "No", {"code": 1})[0] == b'4/a,{"message":"No","data":{"code":1}}'
    assert encode_disconnect("/") == (b"1", ())
    assert encode_disconnect("/admin") == (b"1/admin,", ())
    assert encode_event("/", "foo", ()) == (b'2["foo"]', [])
    assert encode_event("/admin", "foo", (1, "2"), 13) == (b'2/admin,13["foo",1,"2"]', [])
    assert encode_ack("/", (), 12) == (b"312[]", [])
    assert encode_ack("/admin", [b"\1", {"a": (b"\2",)}], 1) == (
        b'62-/admin,1[{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]',
        [b"\1", b"\2"],
    )


class Profile(msgspec.Struct, rename="camel"):
    """An application's own type."""

    user_id: str


def test_takes_the_applications_own_types() -> None:
    """Structs and ready-made JSON go out as they are; every kind of bytes is an attachment."""
    args = (Profile("u"), msgspec.Raw(b'{"ready":1}'), bytearray(b"\1"), memoryview(b"\2"))
    text, attachments = encode_event("/", "x", args)
    placeholders = b'{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
    assert text == b'52-["x",{"userId":"u"},{"ready":1},' + placeholders + b"]"
    assert attachments == [b"\1", b"\2"]


def test_does_not_change_what_it_encodes() -> None:
    """The caller keeps its bytes where they were."""
    args = ({"file": b"\1", "list": [b"\2"]},)
    encode_event("/", "x", args)
    assert args == ({"file": b"\1", "list": [b"\2"]},)


def test_refuses_to_write_what_no_client_takes() -> None:
    """Reserved names and too many attachments are the application's mistakes, told at once."""
    for name in RESERVED_EVENTS:
        with pytest.raises(ValueError, match="reserved"):
            encode_event("/", name, ())
    with pytest.raises(ValueError, match="11 attachments"):
        encode_ack("/", [b""] * 11, 1)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.text(max_size=32).filter(lambda name: name not in RESERVED_EVENTS)
NAMESPACES = st.just("/") | st.text(st.characters(exclude_characters=",", codec="ascii"), max_size=100).map(
    "/".__add__
)
ACK_IDS = st.none() | st.integers(0, MAX_ACK_ID)


def without_placeholders(value: object) -> bool:
    """Whether an argument has no key that the protocol keeps for itself."""
    return "_placeholder" not in json.dumps(value, default=repr)


@given(
    namespace=NAMESPACES,
    name=NAMES,
    args=st.lists(VALUES, max_size=4).filter(without_placeholders),
    ack_id=ACK_IDS,
)
@settings(max_examples=300, deadline=None)
def test_events_come_back_as_they_went(
    namespace: str, name: str, args: list[object], ack_id: int | None
) -> None:
    """Encoding and decoding any event gives the same event, its binary parts included."""
    text, attachments = encode_event(namespace, name, args, ack_id)
    assert whole(text.decode(), *attachments) == Event(namespace, name, args, ack_id)


@given(text=st.text() | st.from_regex(r"[0-9][0-9]?-?(/[a-z]*,)?[0-9]*[\[{].*", fullmatch=True))
@settings(max_examples=500, deadline=None)
def test_arbitrary_text_is_a_packet_or_an_error(text: str) -> None:
    """Nothing but `PacketError` comes out of the decoder, whatever goes in."""
    try:
        decode(text)
    except PacketError as error:
        assert len(str(error)) < 100  # noqa: PT017 - both outcomes are fine


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_depth_is_bounded_exactly(depth: int, brackets: str) -> None:
    """The payload's own array counts; brackets inside strings do not."""
    opening, closing = ('{"a":', "}") if brackets == "{}" else ("[", "]")
    nested = opening * (depth - 1) + "0" + closing * (depth - 1)
    text = f'2["a",{nested},"{"[{" * 50}\\"["]'
    if depth > MAX_DEPTH:
        with pytest.raises(PacketError, match="deeper"):
            decode(text)
    else:
        assert isinstance(decode(text), Event)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "[[]," * 250_000,
        '["' + '\\"' * 499_000,
        '"' * 1_000_000,
        "[" * 40 + '"' * 999_000,
        '[{"a":' * 150_000,
        '["a",' + "]" * 999_000,
        '["' + "\\" * 999_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_a_megabyte_of_nonsense_is_refused_in_linear_time(text: str) -> None:
    """No pattern of brackets, quotes or escapes makes the decoder backtrack or recurse."""
    start = time.process_time()
    with pytest.raises(PacketError):
        decode("2" + text)
    assert time.process_time() - start < 1.0
