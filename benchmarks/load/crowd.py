"""All members of one room over epoll.

Senders are heard the moment something comes, since the next message waits for their acks; many senders get a
pause of microseconds between two hearings, or every broadcast would cost a read each. The other members are
read in sweeps a few milliseconds apart: many deliveries per `recv(2)`, so that one core outruns any server,
and no wake-up of this process is charged to a server's `send(2)`. A sweep is interrupted to hear the senders.
"""

import select
import time
from collections.abc import Callable

from benchmarks.load.member import Conversation, LoadError, Member
from benchmarks.load.plan import Plan
from benchmarks.load.transcript import Transcript
from benchmarks.load.wire import MESSAGE, span

_SWEEP_SECONDS = 0.004
_READS_BETWEEN_HEARINGS = 32
_PAUSE_SECONDS_PER_SENDER = 10e-6
_SENDERS_WITHOUT_PAUSE = 8
_OPENING_AT_ONCE = 32
_BUFFER_BYTES = 1 << 18


class Crowd:
    """The members, what they have received, and the turns of the loop that reads for them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.conversation = Conversation(plan)
        self.transcript = Transcript()
        self.members: list[Member] = []
        self._by_descriptor: dict[int, Member] = {}
        self._senders = select.epoll()
        self._readers = select.epoll()
        self._next_sweep = 0.0
        self._next_hearing = 0.0
        self._pause = max(0, plan.senders - _SENDERS_WITHOUT_PAUSE) * _PAUSE_SECONDS_PER_SENDER
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)

    def open(self, deadline: float) -> None:
        """Connect every member and have it join the room, a few at a time, before `deadline` (monotonic)."""
        count = len(self.plan.auths)
        chosen = {place * count // self.plan.senders for place in range(self.plan.senders)}
        while self.conversation.joined < count:
            if len(self.members) < min(count, self.conversation.joined + _OPENING_AT_ONCE):
                number = len(self.members)
                self._add(Member(number, self.conversation, sender=number in chosen))
            else:
                self.turn(0.001)
            if self.conversation.problems:
                raise LoadError(self.conversation.problems[0])
            if time.monotonic() > deadline:
                raise LoadError(f"only {self.conversation.joined} of {count} members could join in time")

    def _add(self, member: Member) -> None:
        self.members.append(member)
        self._by_descriptor[member.sock.fileno()] = member
        (self._senders if member.sender else self._readers).register(member.sock, select.EPOLLIN)

    def start(self) -> None:
        """Put the plan's messages in flight; from now on each ack sends the next one."""
        self.conversation.talking = True
        for _ in range(self.plan.window):
            for member in self.members:
                if member.sender:
                    member.say()

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
        for descriptor, _ in self._senders.poll(seconds, self.plan.senders + 1):
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
        if not member.tail and self.transcript.data.startswith(received, member.position):
            member.position += size
        else:
            self._walk(member, bytes(received))

    def _walk(self, member: Member, received: bytes) -> None:
        """The slow way: frame by frame, for what is not simply the next known messages."""
        transcript = self.transcript
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
                self._control(member, data[at], data[start:end])
            at = end
        transcript.keep(member, data[at:])

    def _control(self, member: Member, opcode: int, payload: bytes) -> None:
        if opcode != 0x81:
            raise LoadError(f"member {member.number}: WebSocket frame {opcode:#x}: {payload[:200]!r}")
        member.control(payload)
