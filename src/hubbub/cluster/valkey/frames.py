"""What travels over the bus: tellings as msgpack, with a schema version and a place in their sender's order.

    {v: version, n: node, i: incarnation, c: counter in the channel, k: kind, b: body}

Unknown fields are ignored, so fields may be added; what changes the meaning of others is a new version.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from hubbub.cluster.base import (
    Asked,
    CutOff,
    Expel,
    MessageNew,
    Missed,
    Reported,
    Telling,
    ToEveryone,
    ToRoom,
    ToUsers,
)
from hubbub.contract import events

VERSION: Final = 1

ALL: Final = "all"
"""The channel of what concerns every node; the others are `chat:ID` and, for one node, `node:NAME`."""


class Unknown(Exception):
    """A frame of another version or of a kind that this one does not know."""


class Malformed(Exception):
    """What came is no frame."""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard, its body not looked at yet. Node and incarnation name the sender's process."""

    v: int
    n: str
    i: int
    c: int = 0
    k: str = ""
    b: msgspec.Raw = msgspec.Raw(b"")

    @property
    def sender(self) -> tuple[str, int]:
        """The process that sent it."""
        return self.n, self.i

    def telling(self) -> Telling:
        """Return what is told. Raises `Malformed` and `Unknown`."""
        decode = _KINDS.get(self.k)
        if decode is None:
            raise Unknown(self.k)
        try:
            return decode(self.b)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(str(error)) from None


class _Outgoing(msgspec.Struct, frozen=True):
    v: int
    n: str
    i: int
    c: int
    k: str
    b: Any  # whatever struct says the telling


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event, by its name on the wire, and whom it is for."""

    name: str
    event: Any  # an event on the way out, raw on the way in
    chat_id: str | None = None
    user_ids: list[str] | None = None
    skip_socket: str | None = None
    skip_user: str | None = None


class _RawEvent(_Event, frozen=True, kw_only=True):
    event: msgspec.Raw


Body: TypeAlias = "MessageNew | Expel | CutOff | Asked | Reported | _Event"


def _leaves(cls: type[events.Event]) -> Iterator[type[events.Event]]:
    for one in cls.__subclasses__():
        yield from _leaves(one)
        if "event" in vars(one):
            yield one


_EVENTS: Final[dict[str, msgspec.msgpack.Decoder[events.Event]]] = {
    one.event: msgspec.msgpack.Decoder(one) for one in _leaves(events.Event)
}
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Frame).decode
_decode_event: Final = msgspec.msgpack.Decoder(_RawEvent).decode


def _event(raw: _RawEvent) -> events.Event:
    decoder = _EVENTS.get(raw.name)
    if decoder is None:
        raise Unknown(raw.name)
    return decoder.decode(raw.event)


def _to_room(body: msgspec.Raw) -> ToRoom:
    raw = _decode_event(body)
    if raw.chat_id is None:
        raise Malformed("an event for no room")
    return ToRoom(
        chat_id=raw.chat_id, event=_event(raw), skip_socket=raw.skip_socket, skip_user=raw.skip_user
    )


def _to_users(body: msgspec.Raw) -> ToUsers:
    raw = _decode_event(body)
    return ToUsers(user_ids=frozenset(raw.user_ids or ()), event=_event(raw), chat_id=raw.chat_id)


def _to_everyone(body: msgspec.Raw) -> ToEveryone:
    raw = _decode_event(body)
    return ToEveryone(event=_event(raw), skip_user=raw.skip_user)


_KINDS: Final[dict[str, Callable[[msgspec.Raw], Telling]]] = {
    "message": msgspec.msgpack.Decoder(MessageNew).decode,
    "room": _to_room,
    "users": _to_users,
    "everyone": _to_everyone,
    "expel": msgspec.msgpack.Decoder(Expel).decode,
    "cutoff": msgspec.msgpack.Decoder(CutOff).decode,
    "asked": msgspec.msgpack.Decoder(Asked).decode,
    "reported": msgspec.msgpack.Decoder(Reported).decode,
}


def chat_channel(chat_id: str) -> str:
    """Return the channel of what is told to a chat's room."""
    return f"chat:{chat_id}"


def chat_of(channel: str) -> str | None:
    """Return the chat whose channel that is."""
    return channel[5:] if channel.startswith("chat:") else None


def node_channel(name: str) -> str:
    """Return the channel of what is told to one node."""
    return f"node:{name}"


def channel_of(telling: Telling) -> str | None:
    """Return where something is told; None when only to this node."""
    match telling:
        case MessageNew():
            return chat_channel(telling.message.chat_id)
        case ToRoom(chat_id=chat_id) | ToUsers(chat_id=str(chat_id)):
            return chat_channel(chat_id)
        case Reported(asker=asker):
            return node_channel(asker)
        case Missed():
            return None
    return ALL


def encode(sender: tuple[str, int], counter: int, telling: Telling) -> bytes:
    """Return the frame of a telling."""
    kind, body = _body(telling)
    return _encode(_Outgoing(VERSION, *sender, counter, kind, body))


_WHOLE: Final[dict[type, str]] = {
    MessageNew: "message",
    Expel: "expel",
    CutOff: "cutoff",
    Asked: "asked",
    Reported: "reported",
}
"""Tellings that are their own bodies."""


def _body(telling: Telling) -> "tuple[str, Body]":
    match telling:
        case MessageNew() | Expel() | CutOff() | Asked() | Reported():
            return _WHOLE[type(telling)], telling
        case ToRoom():
            event = telling.event
            return "room", _Event(
                name=event.event,
                event=event,
                chat_id=telling.chat_id,
                skip_socket=telling.skip_socket,
                skip_user=telling.skip_user,
            )
        case ToUsers():
            event, user_ids = telling.event, list(telling.user_ids)
            return "users", _Event(name=event.event, event=event, chat_id=telling.chat_id, user_ids=user_ids)
        case ToEveryone():
            event = telling.event
            return "everyone", _Event(name=event.event, event=event, skip_user=telling.skip_user)
        case Missed():
            raise TypeError("what this node has missed is nothing for others")


def decode(data: bytes) -> Frame:
    """Return a frame. Raises `Malformed`, and `Unknown` for one of another version."""
    try:
        frame = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None
    if frame.v != VERSION:
        raise Unknown(f"version {frame.v}")
    return frame


def prefix_of(sender: tuple[str, int]) -> bytes:
    """Return how all frames of a sender begin: its own ones need not be decoded to be passed over."""
    whole = _encode(_Outgoing(VERSION, *sender, 0, "", None))
    return whole[: whole.index(b"\xa1c\x00")]
