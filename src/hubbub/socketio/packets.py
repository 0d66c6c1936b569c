# A stretch of the way in docs/life-of-a-message.md.
"""The packets of Socket.IO protocol v5, from text and to text: a pure codec.

    <type>[<number of attachments>-][<namespace>,][<ack id>][<payload as JSON>]         spec section "Format"

`decode` reads a packet that a client sent. One with attachments is not whole yet: it comes as an `Assembly`,
which takes the binary messages that follow. The `encode_` functions write what a server sends: text and
attachments.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from hubbub.socketio.payloads import (
    PacketError,
    Place,
    dump,
    encode_json,
    fill_places,
    find_places,
    parse_array,
    parse_object,
)

MAX_ATTACHMENTS = 10
"""How many attachments a packet may announce."""

MAX_NAME_BYTES = 128
"""How long the name of an event or of a namespace may be, in bytes of UTF-8."""

MAX_ACK_ID = 2**53 - 1
"""The greatest ack id: past it a JavaScript client would be answered with another number than it sent."""

RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names that mean something to every Socket.IO library and so cannot be events."""

Encoded = tuple[bytes, Sequence[bytes]]
"""The text of a packet and its attachments."""


class Connect(msgspec.Struct, frozen=True):
    """CONNECT: the client asks to enter a namespace. `auth` is its payload, empty when it had none."""

    namespace: str
    auth: dict[str, object]


class Disconnect(msgspec.Struct, frozen=True):
    """DISCONNECT: the client leaves a namespace."""

    namespace: str


class Event(msgspec.Struct, frozen=True):
    """EVENT or BINARY_EVENT. `ack_id` is None when the client waits for no answer."""

    namespace: str
    name: str
    args: list[object]
    ack_id: int | None = None


class Ack(msgspec.Struct, frozen=True):
    """ACK or BINARY_ACK: the answer to the event that the server sent with `ack_id`."""

    namespace: str
    args: list[object]
    ack_id: int


Packet = Connect | Disconnect | Event | Ack


class Assembly:
    """An event or answer whose attachments are still on their way."""

    __slots__ = ("_attachments", "_places", "packet")

    def __init__(self, packet: Event | Ack, places: Sequence[Place]) -> None:
        self.packet = packet
        self._places = places
        self._attachments: list[bytes] = []

    def add(self, attachment: bytes) -> Event | Ack | None:
        """Take the next binary message; returns the packet once it was the last one."""
        self._attachments.append(attachment)
        if len(self._attachments) < len(self._places):
            return None
        fill_places(self._places, self._attachments)
        return self.packet


_HEADER = re.compile(r"([012356])(?:([1-9][0-9]{0,8})-)?(?:(/[^,]*)(?:,|\Z))?([0-9]*)", re.ASCII)

_ACK_ID_DIGITS = len(str(MAX_ACK_ID))


def decode(text: str) -> Packet | Assembly:
    """The packet that a client sent as `text`; an `Assembly` when attachments belong to it.

    Raises `PacketError` for whatever the protocol does not allow, CONNECT_ERROR from a client included.
    """
    header = _HEADER.match(text)
    if header is None:
        raise PacketError("unknown packet type")
    digit, announced, namespace, digits = header.groups()
    namespace = namespace or "/"
    if _is_too_long(namespace):
        raise PacketError(f"the namespace is longer than {MAX_NAME_BYTES} bytes")
    if (announced is not None) != (digit in "56"):
        raise PacketError("the number of attachments is missing or out of place")
    attachments = int(announced or 0)
    if attachments > MAX_ATTACHMENTS:
        raise PacketError(f"more than {MAX_ATTACHMENTS} attachments")
    body = text[header.end() :]
    ack_id = _read_ack_id(digits)
    if digit in "01":
        if ack_id is not None:
            raise PacketError("an ack id where none belongs")
        return _read_connect(namespace, body) if digit == "0" else _read_disconnect(namespace, body)
    data = parse_array(body)
    packet = _read_event(namespace, data, ack_id) if digit in "25" else _read_ack(namespace, data, ack_id)
    places = find_places(data, body, attachments)  # judged before anything is kept for the attachments
    return Assembly(packet, places) if places else packet


def _is_too_long(name: str) -> bool:
    """Whether a name takes more than `MAX_NAME_BYTES`; a short one is not encoded to find out."""
    return len(name) * 4 > MAX_NAME_BYTES and len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES


def _read_ack_id(digits: str) -> int | None:
    """The ack id written as `digits`; None when there are none."""
    if not digits:
        return None
    ack_id = int(digits[:_ACK_ID_DIGITS])
    if len(digits) > _ACK_ID_DIGITS or ack_id > MAX_ACK_ID:
        raise PacketError(f"an ack id above {MAX_ACK_ID}")
    return ack_id


def _read_connect(namespace: str, body: str) -> Connect:
    """A CONNECT: its payload is an object, or missing."""
    return Connect(namespace, parse_object(body) if body else {})


def _read_disconnect(namespace: str, body: str) -> Disconnect:
    """A DISCONNECT: it has no payload."""
    if body:
        raise PacketError("a DISCONNECT with a payload")
    return Disconnect(namespace)


def _read_event(namespace: str, data: list[object], ack_id: int | None) -> Event:
    """An event: its payload begins with its name."""
    name = data.pop(0) if data else None
    if not isinstance(name, str) or name in RESERVED_EVENTS or _is_too_long(name):
        raise PacketError(f"an event needs a name of at most {MAX_NAME_BYTES} bytes that is not reserved")
    return Event(namespace, name, data, ack_id)


def _read_ack(namespace: str, data: list[object], ack_id: int | None) -> Ack:
    """An answer: the id of what it answers is required."""
    if ack_id is None:
        raise PacketError("an ACK without an ack id")
    return Ack(namespace, data, ack_id)


def encode_connect(namespace: str, sid: str, pid: str | None) -> Encoded:
    """The client is welcome; a `pid` offers it connection state recovery."""
    answer = {"sid": sid} if pid is None else {"sid": sid, "pid": pid}
    return _prefix("0", namespace) + encode_json(answer), ()


def encode_connect_error(namespace: str, message: str, data: object | None) -> Encoded:
    """The client may not enter. `data` is for its `error.data`; left out when None."""
    reason = {"message": message} if data is None else {"message": message, "data": data}
    return _prefix("4", namespace) + encode_json(reason), ()


def encode_disconnect(namespace: str) -> Encoded:
    """The server ends the client's stay in the namespace."""
    return _prefix("1", namespace), ()


def encode_event(namespace: str, name: str, args: Sequence[object], ack_id: int | None = None) -> Encoded:
    """An event; with an `ack_id` the client answers it. Raises `ValueError` for what no client would take."""
    if name in RESERVED_EVENTS:
        raise ValueError(f"the event name {name!r} is reserved")
    return _encode_data("25", namespace, ack_id, [name, *args])


def encode_ack(namespace: str, args: Sequence[object], ack_id: int) -> Encoded:
    """The answer to a client's event. Raises `ValueError` for what no client would take."""
    return _encode_data("36", namespace, ack_id, list(args))


def _encode_data(digits: str, namespace: str, ack_id: int | None, data: list[object]) -> Encoded:
    """A packet with an array; `digits` are its types without and with attachments."""
    body, attachments = dump(data)
    if len(attachments) > MAX_ATTACHMENTS:
        raise ValueError(
            f"{len(attachments)} attachments are more than the {MAX_ATTACHMENTS} that clients take"
        )
    head = _prefix(f"{digits[1]}{len(attachments)}-" if attachments else digits[0], namespace)
    return head + body if ack_id is None else b"%b%d%b" % (head, ack_id, body), attachments


@lru_cache
def _prefix(kind: str, namespace: str) -> bytes:
    """What stands before the ack id."""
    return kind.encode() if namespace == "/" else f"{kind}{namespace},".encode()
