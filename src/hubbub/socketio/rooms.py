# A stretch of the way in docs/life-of-a-message.md.
"""Rooms: named sets of the sockets of one namespace, and the fan-out to them.

    packet, encoded once -> room: its burst of this turn -> the outboxes of its members -> one write each

A packet for the whole room costs next to nothing until the end of the event loop's turn; then one plain
loop hands all of them to the members' engine sessions, which write. It awaits nothing and makes nothing per
recipient.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from hubbub.engineio import Flusher, Prepared, Session
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

    __slots__ = ("_burst", "_flusher", "marked", "plain")

    def __init__(self, flusher: Flusher) -> None:
        self.plain: dict[M, Session] = {}
        self.marked: dict[M, Session] = {}
        # What is sent to the whole room in this turn, and who sees to it that it leaves.
        self._burst: list[Outgoing] = []
        self._flusher = flusher

    def add(self, member: M) -> None:
        """Let `member` get what is sent to the room from now on. Adding it again changes nothing."""
        self._settle()
        (self.marked if member.recovers else self.plain)[member] = member.session

    def discard(self, member: M) -> None:
        """Take `member` out if it is in."""
        self._settle()
        (self.marked if member.recovers else self.plain).pop(member, None)

    def send(self, packet: Outgoing, skip: M | None) -> int:
        """Send to all members but `skip`; how many that were."""
        if skip is None:
            self._flusher.gather(self)
            self._burst.append(packet)
            return len(self.plain) + len(self.marked)
        sent = _send_apart(self.plain, packet.plain, skip) if self.plain else 0
        return sent + _send_apart(self.marked, packet.marked, skip) if self.marked else sent

    def spread(self) -> None:
        """Hand the burst to the members' sessions. Called by the flusher."""
        burst, self._burst = self._burst, []
        if self.plain:
            packets = tuple([prepared for packet in burst for prepared in packet.plain])
            self._flusher.send_all(self.plain.values(), packets)
        if self.marked:
            packets = tuple([prepared for packet in burst for prepared in packet.marked])
            self._flusher.send_all(self.marked.values(), packets)

    def _settle(self) -> None:
        """Before the members change: what was sent until now is for those that there are."""
        if self._burst:
            self._flusher.spread()

    def __iter__(self) -> Iterator[M]:
        yield from (*self.plain, *self.marked)

    def __len__(self) -> int:
        return len(self.plain) + len(self.marked)


def _send_apart(members: Mapping[M, Session], packets: tuple[Prepared, ...], skip: M) -> int:
    """Send to all but one."""
    sessions: Collection[Session] = members.values()
    if skip in members:
        sessions = [session for member, session in members.items() if member is not skip]
    for packet in packets:
        for session in sessions:
            session.send(packet)
    return len(sessions)


class Rooms(Generic[M]):
    """All rooms of one namespace. A room exists while it has members."""

    __slots__ = ("_flusher", "_named", "everyone")

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher
        self.everyone: Room[M] = Room(flusher)
        self._named: dict[str, Room[M]] = {}

    def join(self, member: M, name: str) -> None:
        """Put `member` into the room."""
        room = self._named.get(name)
        if room is None:
            room = self._named[name] = Room(self._flusher)
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
