"""The packet codec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from hubbub.engineio.packets import (
    MESSAGE,
    NOOP_PACKET,
    PacketError,
    decode,
    encode_payload,
    prepare_binary,
    prepare_control,
    prepare_text,
    split_payload,
)

# Text as a JSON document has it: no record separator, no lone surrogates.
texts = st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"]))
BOUNDARIES = [0, 1, 124, 125, 126, 65534, 65535, 65536]


@given(st.lists(texts | st.binary(), min_size=1))
def test_payload_round_trip(messages: list[str | bytes]) -> None:
    """What is encoded for polling is decoded to the same messages, in order."""
    packets = [prepare_text(m) if isinstance(m, str) else prepare_binary(m) for m in messages]
    decoded = [decode(text) for text in split_payload(encode_payload(packets))]
    assert decoded == [(MESSAGE, message) for message in messages]


@pytest.mark.parametrize("length", BOUNDARIES)
def test_frames_equal_the_librarys(length: int) -> None:
    """A prepared frame is byte for byte what the websockets library would send, at each length encoding."""
    data = b"x" * length
    assert prepare_binary(data).frame == Frame(Opcode.BINARY, data).serialize(mask=False)
    assert prepare_text(data).frame == Frame(Opcode.TEXT, b"4" + data).serialize(mask=False)
    assert prepare_text(data).packet == b"4" + data
    assert prepare_text(data).size == len(prepare_text(data).frame)


def test_text_and_bytes_prepare_alike() -> None:
    """Text may be given as str or as its UTF-8."""
    assert prepare_text("héllo").frame == prepare_text("héllo".encode()).frame


def test_control_packets() -> None:
    """Packets without a message are their type and data."""
    assert NOOP_PACKET.packet == b"6"
    assert prepare_control("3", "probe").packet == b"3probe"


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("4", ("4", "")),
        ("4hello", ("4", "hello")),
        ("4€", ("4", "€")),
        ("bAQIDBA==", ("4", b"\1\2\3\4")),
        ("b", ("4", b"")),
        ("0", ("0", "")),
        ("1", ("1", "")),
        ("2probe", ("2", "probe")),
        ("3", ("3", "")),
        ("5", ("5", "")),
        ("6", ("6", "")),
    ],
)
def test_decode(text: str, packet: tuple[str, str | bytes]) -> None:
    """Every packet type of the specification is told from its data."""
    assert decode(text) == packet


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "8",
        "9",
        "a",
        "²",
        "٣",
        "\x1e",
        " 4",
        "-1",
        "b!!!!",
        "bAQ",
        "bAQ=",
        "bAQID BA==",
        "bAQ==AQ==",
        "bé",
        "b=",
    ],
)
def test_decode_refuses(text: str) -> None:
    """Unknown types, empty packets and base64 that is not strict are refused (hostile inputs 28, 29, 34)."""
    with pytest.raises(PacketError):
        decode(text)


@given(st.text())
def test_decode_refuses_or_returns(text: str) -> None:
    """No text makes the decoder raise anything else."""
    try:
        kind, _ = decode(text)
    except PacketError:
        return
    assert kind in "0123456"


@pytest.mark.parametrize("body", [b"4\xff", b"\x80", b"4\xed\xa0\x80"])
def test_payload_must_be_utf8(body: bytes) -> None:
    """A body that is not UTF-8, surrogates included, is refused (hostile input 23)."""
    with pytest.raises(PacketError):
        split_payload(body)
