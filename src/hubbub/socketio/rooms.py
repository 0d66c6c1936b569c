# A stretch of the way in docs/life-of-a-message.md.
"""Rooms: named sets of the sockets of one namespace, and the fan-out to them.

    packet, encoded once -> room -> plain loop over the engine sessions of its members -> their outboxes

The loop awaits nothing and makes nothing per recipient; the engine writes at the end of the loop's turn.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from hubbub.engineio import Prepared, Session
from hubbub.socketio.outgoing import Outgoing


class Member(Protocol):
    """What can be in a room."""

    @property
    def session(self) -> Session:
        """The connection that it is reached through; no two members of a room share one."""

    @property
    def recovers(self) -> bool:
        """Whether it gets events with their offset. Does not change while it is in a room."""


M = TypeVar("M", bound=Member)


class Room(Generic[M]):
    """The members of one room, parted by the variant of an event that they get."""

    __slots__ = ("marked", "plain")

    def __init__(self) -> None:
        self.plain: dict[M, Session] = {}
        self.marked: dict[M, Session] = {}

    def add(self, member: M) -> None:
        """Let `member` get what is sent to the room. Adding it again changes nothing."""
        (self.marked if member.recovers else self.plain)[member] = member.session

    def discard(self, member: M) -> None:
        """Take `member` out if it is in."""
        (self.marked if member.recovers else self.plain).pop(member, None)

    def send(self, packet: Outgoing, skip: M | None) -> int:
        """Send to all members but `skip`; how many that were."""
        sent = _fan_out(self.plain, packet.plain, skip) if self.plain else 0
        return sent + _fan_out(self.marked, packet.marked, skip) if self.marked else sent

    def __iter__(self) -> Iterator[M]:
        yield from (*self.plain, *self.marked)

    def __len__(self) -> int:
        return len(self.plain) + len(self.marked)


def _fan_out(members: Mapping[M, Session], packets: tuple[Prepared, ...], skip: M | None) -> int:
    """The hot loop of a broadcast. `Session.send` never calls back, so the members stay the same."""
    sessions: Collection[Session] = members.values()
    if skip is not None and skip in members:
        sessions = [session for member, session in members.items() if member is not skip]
    for packet in packets:
        for session in sessions:
            session.send(packet)
    return len(sessions)


class Rooms(Generic[M]):
    """All rooms of one namespace. A room exists while it has members."""

    __slots__ = ("_named", "everyone")

    def __init__(self) -> None:
        self.everyone: Room[M] = Room()
        self._named: dict[str, Room[M]] = {}

    def join(self, member: M, name: str) -> None:
        """Put `member` into the room."""
        room = self._named.get(name)
        if room is None:
            room = self._named[name] = Room()
        room.add(member)

    def leave(self, member: M, name: str) -> None:
        """Take `member` out of the room if it is in."""
        room = self._named.get(name)
        if room is not None:
            room.discard(member)
            if not room:
                del self._named[name]

    def find(self, name: str | None) -> Room[M] | None:
        """The room, None when nobody is in it; everyone in the namespace for the name None."""
        return self.everyone if name is None else self._named.get(name)
