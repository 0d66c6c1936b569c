"""Engine.IO v4 packets: pure functions between packets and bytes, no state and no I/O.

Incoming text goes through `decode` (one packet) or `split_payload` (the body of a POST: packets to decode one
by one). Outgoing packets are `Prepared`: encoded once, shared by every session they are sent to, whatever its
transport.
"""

import base64
from collections.abc import Iterable, Sequence

SEPARATOR = "\x1e"

# Packet types, spec section "Protocol".
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
PROBE = "probe"

_CONTROL = frozenset((OPEN, CLOSE, PING, PONG, UPGRADE, NOOP))
_BINARY_PREFIX = "b"

# First byte of a WebSocket frame (RFC 6455 section 5.2): FIN and the opcode.
_TEXT_FRAME = 0x81
_BINARY_FRAME = 0x82


class PacketError(ValueError):
    """A packet or payload that the protocol does not allow; the receiver must close the session."""


class Prepared:
    """One packet to be sent, encoded once.

    `frame` is a complete WebSocket frame (unmasked, as servers send them, so one object serves every
    recipient); `packet` is the same packet as it stands in a polling payload; `size` is the frame's length in
    bytes.
    """

    __slots__ = ("_packet", "frame", "size")

    def __init__(self, frame: bytes, packet: bytes | None = None) -> None:
        self.frame = frame
        self.size = len(frame)
        self._packet = packet

    @property
    def packet(self) -> bytes:
        """The packet as polling carries it, made when the first polling session needs it."""
        if self._packet is None:
            payload = self.frame[_header_length(self.frame) :]
            if self.frame[0] == _BINARY_FRAME:
                payload = _BINARY_PREFIX.encode() + base64.b64encode(payload)
            self._packet = payload
        return self._packet


def prepare_text(payload: bytes | str) -> Prepared:
    """Encode a MESSAGE packet with text.

    Bytes must be UTF-8. Over polling the record separator U+001E would split the packet (spec section "From
    v3 to v4"), so the payload must not contain it; JSON never does. Raises `UnicodeEncodeError` for lone
    surrogates.
    """
    data = payload.encode() if isinstance(payload, str) else payload
    length = len(data) + 1
    # In one go: every packet to a client passes here.
    if length < 126:
        return Prepared(b"\x81%c4%b" % (length, data))
    if length < 65536:
        return Prepared(b"\x81\x7e%c%c4%b" % (length >> 8, length & 0xFF, data))
    return Prepared(_head(_TEXT_FRAME, length) + b"4" + data)


def prepare_binary(data: bytes) -> Prepared:
    """Encode a MESSAGE packet with binary data."""
    return Prepared(_head(_BINARY_FRAME, len(data)) + data)


def prepare_control(kind: str, data: str = "") -> Prepared:
    """Encode a packet of any other type."""
    payload = (kind + data).encode()
    return Prepared(_head(_TEXT_FRAME, len(payload)) + payload)


def join_frames(packets: Sequence[Prepared]) -> bytes:
    """The packets' WebSocket frames in one piece."""
    return packets[0].frame if len(packets) == 1 else b"".join([packet.frame for packet in packets])


def encode_payload(packets: Iterable[Prepared]) -> bytes:
    """The body of a poll's answer, spec section "Packet encoding, HTTP long-polling"."""
    return SEPARATOR.encode().join([packet.packet for packet in packets])


def split_payload(body: bytes) -> list[str]:
    """Cut the body of a POST into packets, not yet decoded.

    Raises `PacketError` when the body is not UTF-8. An empty body is one empty packet, which `decode`
    refuses.
    """
    try:
        return body.decode().split(SEPARATOR)
    except UnicodeDecodeError as error:
        raise PacketError("the payload is not UTF-8") from error


def decode(text: str) -> tuple[str, str | bytes]:
    """Decode one packet to its type and data; a base64 packet becomes a MESSAGE with bytes.

    Raises `PacketError` for an empty packet, an unknown type or base64 that is not strictly valid.
    """
    kind = text[:1]
    if kind == MESSAGE:
        return kind, text[1:]
    if kind == _BINARY_PREFIX:
        return MESSAGE, _decode_base64(text[1:])
    if kind in _CONTROL:
        return kind, text[1:]
    raise PacketError("empty packet" if not text else "unknown packet type")


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise PacketError("invalid base64") from error


def _head(first: int, length: int) -> bytes:
    """What stands before a payload of so many bytes."""
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return bytes((first, 126, length >> 8, length & 0xFF))
    return bytes((first, 127)) + length.to_bytes(8, "big")


def _header_length(frame: bytes) -> int:
    return {126: 4, 127: 10}.get(frame[1], 2)


PING_PACKET = prepare_control(PING)
NOOP_PACKET = prepare_control(NOOP)
CLOSE_PACKET = prepare_control(CLOSE)
PROBE_ANSWER = prepare_control(PONG, PROBE)
