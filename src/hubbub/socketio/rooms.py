# A stretch of the way in docs/life-of-a-message.md.
"""Rooms: named sets of the sockets of one namespace, and the fan-out to them.

    packet, encoded once -> room: its burst of this turn -> the outboxes of its members -> one write each

A packet for the whole room costs next to nothing until the end of the event loop's turn; then one plain
loop hands all of them to the members' engine sessions, which write. It awaits nothing and makes nothing per
recipient.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from hubbub.engineio import Flusher, Session
from hubbub.socketio.outgoing import Outgoing

# Each packet of a burst is noted for each of these, so there may be some of them, but not many.
_MOST_APART = 128


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

    __slots__ = ("_apart", "_burst", "_flusher", "marked", "plain")

    def __init__(self, flusher: Flusher) -> None:
        self.plain: dict[M, Session] = {}
        self.marked: dict[M, Session] = {}
        # What is sent to the whole room in this turn, and who sees to it that it leaves.
        self._burst: list[Outgoing] = []
        self._flusher = flusher
        # Members who get only a part of the burst, and which: they are left out of some of it, or came later.
        self._apart: dict[M, list[Outgoing]] = {}

    def add(self, member: M) -> None:
        """Let `member` get what is sent to the room from now on. Adding it again changes nothing."""
        if self._burst and member not in self:
            self._check_apart()
            if self._burst:
                self._apart[member] = []
        (self.marked if member.recovers else self.plain)[member] = member.session

    def discard(self, member: M) -> None:
        """Take `member` out if it is in."""
        if self._flusher.burst is self:
            self._flusher.spread()
        self._apart.pop(member, None)
        (self.marked if member.recovers else self.plain).pop(member, None)

    def send(self, packet: Outgoing, skip: Collection[M] = ()) -> int:
        """Send to all members but those to `skip`; how many that were."""
        if skip or self._apart:
            sent = self.send_later(packet, skip)
        else:
            self._burst.append(packet)
            sent = len(self.plain) + len(self.marked)
        self._flusher.gather(self)
        return sent

    def send_later(self, packet: Outgoing, skip: Collection[M] = ()) -> int:
        """Send as `send` does, but not before the next `send` or `release`: for what can wait.

        What is sent to single members meanwhile overtakes it; who comes meanwhile does not get it.
        """
        skipped = [member for member in skip if member in self]
        if skipped:
            self._check_apart()
            for member in skipped:
                self._apart.setdefault(member, self._burst.copy())
        for member, own in self._apart.items():
            if member not in skipped:
                own.append(packet)
        self._burst.append(packet)
        return len(self) - len(skipped)

    def release(self) -> None:
        """Have what was sent until now leave at the end of this turn."""
        if self._burst:
            self._flusher.gather(self)

    def spread(self) -> None:
        """Hand the burst to the members' sessions. Called by the flusher."""
        burst, self._burst = self._burst, []
        apart, self._apart = self._apart, {}
        if self.plain:
            packets = tuple([one for packet in burst for one in packet.plain])
            self._flusher.send_all(_without(self.plain, apart), packets)
        if self.marked:
            packets = tuple([one for packet in burst for one in packet.marked])
            self._flusher.send_all(_without(self.marked, apart), packets)
        for member, own in apart.items():
            for packet in own:
                for one in packet.marked if member.recovers else packet.plain:
                    member.session.send(one)

    def _check_apart(self) -> None:
        """Spread the burst now rather than keep still more members apart, each of which costs something."""
        if len(self._apart) >= _MOST_APART:
            # What waits in another room was sent before.
            self._flusher.spread()
            if self._burst:
                self.spread()

    def __contains__(self, member: M) -> bool:
        return member in self.plain or member in self.marked

    def __iter__(self) -> Iterator[M]:
        yield from (*self.plain, *self.marked)

    def __len__(self) -> int:
        return len(self.plain) + len(self.marked)


def _without(members: Mapping[M, Session], apart: Mapping[M, object]) -> Collection[Session]:
    """The sessions of all who get the whole burst."""
    if not apart:
        return members.values()
    return [session for member, session in members.items() if member not in apart]


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
