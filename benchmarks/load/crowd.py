"""All members of all rooms over epoll.

Senders are heard the moment something comes, since the next message waits for their acks; many senders get a
pause of microseconds between two hearings, or every broadcast would cost a read each. The other members are
read in sweeps a few milliseconds apart: many deliveries per `recv(2)`, so that one core outruns any server,
and no wake-up of this process is charged to a server's `send(2)`. A sweep is interrupted to hear the senders.
"""

import select
import time
from collections.abc import Callable

from benchmarks.load.client import LoadError
from benchmarks.load.member import Conversation, Member, SlowMember
from benchmarks.load.plan import RoomsPlan
from benchmarks.load.wire import ACK, MESSAGE

_SWEEP_SECONDS = 0.004
_READS_BETWEEN_HEARINGS = 32
_PAUSE_SECONDS_PER_SENDER = 10e-6
_SENDERS_WITHOUT_PAUSE = 8
_OPENING_AT_ONCE = 32
_BUFFER_BYTES = 1 << 18


class Crowd:
    """The members, what they have received, and the turns of the loop that reads for them."""

    def __init__(self, plan: RoomsPlan) -> None:
        self.plan = plan
        self.conversations = [Conversation(room, plan.content) for room in plan.rooms]
        self.members: list[Member] = []
        self.slow: list[SlowMember] = []
        self._by_descriptor: dict[int, Member] = {}
        self._senders = select.epoll()
        self._readers = select.epoll()
        self._next_sweep = 0.0
        self._next_hearing = 0.0
        talkers = plan.senders * len(plan.rooms)
        self._pause = max(0, talkers - _SENDERS_WITHOUT_PAUSE) * _PAUSE_SECONDS_PER_SENDER
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)

    def open(self, deadline: float) -> None:
        """Connect every member and have it join its room, a few at a time, before `deadline` (monotonic)."""
        for conversation in self.conversations:
            count = len(conversation.room.auths)
            chosen = {place * count // self.plan.senders for place in range(self.plan.senders)}
            for place in range(count):
                while len(self.members) >= self.joined + _OPENING_AT_ONCE:
                    self._opening_turn(deadline)
                self._add(conversation, place, sender=place in chosen)
        while self.joined < len(self.members):
            self._opening_turn(deadline)

    @property
    def joined(self) -> int:
        """Members that are in their room."""
        return sum(conversation.joined for conversation in self.conversations)

    @property
    def prompt(self) -> list[Member]:
        """The members that are not slow."""
        return self.members[: -len(self.slow)] if self.slow else self.members

    @property
    def asides(self) -> int:
        """Frames so far that were neither a message nor an ack."""
        return sum(conversation.asides for conversation in self.conversations)

    @property
    def problems(self) -> list[str]:
        """The first problems of each room."""
        return [problem for conversation in self.conversations for problem in conversation.problems]

    def _opening_turn(self, deadline: float) -> None:
        self.turn(0.001)
        if problems := self.problems:
            raise LoadError(problems[0])
        if time.monotonic() > deadline:
            raise LoadError(f"only {self.joined} members could join in time")

    def _add(self, conversation: Conversation, place: int, *, sender: bool) -> None:
        slow = place >= len(conversation.room.auths) - self.plan.slow
        kind = SlowMember if slow else Member
        member = kind(len(self.members), self.plan.endpoint, place, conversation, sender=sender and not slow)
        self.members.append(member)
        self._by_descriptor[member.sock.fileno()] = member
        (self._senders if member.sender else self._readers).register(member.sock, select.EPOLLIN)
        if isinstance(member, SlowMember):
            self.slow.append(member)

    def start(self) -> None:
        """Put the plan's messages in flight; from now on each ack sends the next one."""
        for conversation in self.conversations:
            conversation.talking = True
        for _ in range(self.plan.window):
            for member in self.members:
                if member.sender:
                    member.say()

    def doze(self) -> None:
        """The slow members stop reading."""
        for member in self.slow:
            member.cut = False
            self._readers.unregister(member.sock)

    def wake(self, seconds: float) -> int:
        """They read on, until they have everything or `seconds` are over; how many had been cut off."""
        awake, deadline = list(self.slow), time.monotonic() + seconds
        while awake and time.monotonic() < deadline:
            self.turn(0.001)
            awake = [member for member in awake if self._read_on(member)]
        return sum(member.cut for member in self.slow)

    def _read_on(self, member: SlowMember) -> bool:
        """Read once; whether there is more to come."""
        try:
            self._read(member)
        except BlockingIOError:
            pass
        except LoadError:
            member.cut = True
        said = member.conversation
        return not member.cut and member.transcript.received(member) < said.sent

    def stop(self) -> None:
        """Send no more."""
        for conversation in self.conversations:
            conversation.talking = False

    def turn(self, seconds: float = _SWEEP_SECONDS) -> None:
        """Hear the senders, waiting up to `seconds` for them, and sweep the others when it is time."""
        if (early := self._next_hearing - time.monotonic()) > 0:
            time.sleep(early)
        self._hear(seconds)
        if time.monotonic() >= self._next_sweep:
            self.sweep()

    def run(self, until: Callable[[], bool], deadline: float) -> bool:
        """Turn until `until()` holds or `deadline` (monotonic) has come; whether it held."""
        while not (done := until()) and time.monotonic() < deadline:
            self.turn()
        return done

    def sweep(self) -> None:
        """Read every member that has something."""
        members, read = self._by_descriptor, self._read
        for count, (descriptor, _) in enumerate(self._readers.poll(0, len(members) + 1)):
            read(members[descriptor])
            if not count % _READS_BETWEEN_HEARINGS and time.monotonic() >= self._next_hearing:
                self._hear(0)
        self._next_sweep = time.monotonic() + _SWEEP_SECONDS

    def close(self) -> None:
        """Close every connection."""
        for member in self.members:
            member.sock.close()
        self._senders.close()
        self._readers.close()

    def _hear(self, seconds: float) -> None:
        members, read = self._by_descriptor, self._read
        for descriptor, _ in self._senders.poll(seconds, len(members) + 1):
            read(members[descriptor])
        self._next_hearing = time.monotonic() + self._pause

    def _read(self, member: Member) -> None:
        try:
            size = member.sock.recv_into(self._buffer)
        except BlockingIOError:
            raise
        except OSError as error:
            raise LoadError(f"the connection of member {member.number} ended: {error}") from error
        if not size:
            raise LoadError(f"the connection of member {member.number} ended: closed by the server")
        received = self._view[:size]
        if not member.tail and member.transcript.data.startswith(received, member.position):
            member.position += size
        else:
            self._walk(member, bytes(received))

    def _walk(self, member: Member, received: bytes) -> None:
        """The slow way: frame by frame, for what is not simply the next known messages."""
        transcript = member.transcript
        data, at = transcript.rewind(member) + received, 0
        if not member.upgraded:
            data = member.upgrade(data)
            if not member.upgraded:
                return
        have, view = len(data), memoryview(data)
        while at + 2 < have:
            size, start = data[at + 1], at + 2  # as in `wire.span`; a call for each frame would be felt here
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            end = start + size
            if end > have:
                break
            if data.startswith(MESSAGE, start):
                if known := transcript.skip(member, view[at:]):
                    at += known
                    continue
                transcript = member.hear(data[at:end])
            elif data.startswith(ACK, start):
                member.acknowledge(data[start:end])
            else:
                member.take(data[at], data[start:end])
            at = end
        transcript.keep(member, data[at:])
