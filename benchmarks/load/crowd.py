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
from benchmarks.load.member import Conversation, Member
from benchmarks.load.plan import RoomsPlan
from benchmarks.load.wire import MESSAGE, span

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
        self.conversations = [Conversation(room) for room in plan.rooms]
        self.members: list[Member] = []
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
        member = Member(len(self.members), self.plan.endpoint, place, conversation, sender=sender)
        self.members.append(member)
        self._by_descriptor[member.sock.fileno()] = member
        (self._senders if sender else self._readers).register(member.sock, select.EPOLLIN)

    def start(self) -> None:
        """Put the plan's messages in flight; from now on each ack sends the next one."""
        for conversation in self.conversations:
            conversation.talking = True
        for _ in range(self.plan.window):
            for member in self.members:
                if member.sender:
                    member.say()

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
        except OSError as error:
            raise LoadError(f"the connection of member {member.number} ended: {error}") from error
        if not size:
            raise LoadError(f"the connection of member {member.number} ended: closed by the server")
        received = self._view[:size]
        if not member.tail and member.conversation.transcript.data.startswith(received, member.position):
            member.position += size
        else:
            self._walk(member, bytes(received))

    def _walk(self, member: Member, received: bytes) -> None:
        """The slow way: frame by frame, for what is not simply the next known messages."""
        transcript = member.conversation.transcript
        data, at = transcript.rewind(member) + received, 0
        if not member.upgraded:
            data = member.upgrade(data)
            if not member.upgraded:
                return
        view = memoryview(data)
        while (found := span(data, at)) is not None:
            start, end = found
            if data.startswith(MESSAGE, start):
                if known := transcript.skip(member, view[at:]):
                    at += known
                    continue
                transcript.accept(member, data[at:end])
            else:
                member.take(data[at], data[start:end])
            at = end
        transcript.keep(member, data[at:])
