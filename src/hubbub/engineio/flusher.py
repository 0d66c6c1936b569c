# A stretch of the way in docs/life-of-a-message.md.
"""The end of a turn: every session that something was sent to is flushed once, one write for all of it.

What a room is sent during a turn is kept once, as its burst, and handed to the members' outboxes together: at
the end of the turn, or before anything else is sent to anybody. So every session gets everything in the order
of sending.

The two loops here, `Flusher.send_all` and `Flusher._flush_slice`, are what a broadcast costs: they run once
for each recipient, so they do the ordinary case by hand and leave every other one to the session.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from hubbub.engineio.packets import Prepared, join_frames
from hubbub.engineio.session import Session
from hubbub.engineio.states import State

# Flushing this many connections takes a few milliseconds; the rest waits for the next turn of the loop. Each
# session keeps its own order, so slicing the flush changes none.
_SLICE = 500

# A flush waits for so many turns of the loop, which take no time when there is nothing to do: what one event
# sets off is mostly done by then, and leaves in one write.
_TURNS = 3

# A flush of at least so many sessions, which costs about a millisecond, waits for more to send when more is
# expected, but not longer than so many seconds: one write for both is half the work.
_LARGE = 200
_LONGEST_WAIT = 0.002


class Burst(Protocol):
    """Packets for many sessions that are not in the outboxes yet."""

    def spread(self) -> None:
        """Put them there, by `Flusher.send_all`."""


class Flusher:
    """Collects the sessions with something to send. Use on the event loop's thread only."""

    def __init__(self) -> None:
        # At most one: another one, or a packet for a single session, makes it spread first.
        self.burst: Burst | None = None
        self._ready: deque[Session] = deque()
        self._scheduled = False
        self._turns_left = 0
        # Whether something is about to be sent to many sessions; set by whoever knows.
        self.expects_more: Callable[[], bool] = lambda: False
        self._waiting: asyncio.TimerHandle | None = None
        self._has_waited = False

    def wake(self, session: Session) -> None:
        """Flush the session at the end of this turn."""
        self._ready.append(session)
        if not self._scheduled:
            self._schedule()

    def send_all(self, sessions: Collection[Session], packets: tuple[Prepared, ...]) -> None:
        """Queue packets for all of these sessions, which will share them. Never calls back."""
        size = sum([packet.size for packet in packets])
        is_open, ready = State.OPEN, self._ready
        for session in sessions:
            if session.outbox or session.state is not is_open:
                session.send_all(packets, size)
            else:
                session.outbox = packets
                session.queued = size
                ready.append(session)
        if ready and not self._scheduled:
            self._schedule()

    def gather(self, burst: Burst) -> None:
        """Let a burst wait for more of its packets, until something else is sent or this turn ends."""
        if self.burst is not burst:
            if self.burst is not None:
                self.spread()
            self.burst = burst
            if not self._scheduled:
                self._schedule()
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
            self._schedule()

    def spread(self) -> None:
        """Put the packets of the burst that waits, if any, into the outboxes."""
        burst, self.burst = self.burst, None
        if burst is not None:
            burst.spread()

    def _schedule(self) -> None:
        self._scheduled = True
        self._turns_left = _TURNS
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turns_left -= 1
        if self._turns_left:
            asyncio.get_running_loop().call_soon(self._turn)
            return
        self.spread()
        if not self._has_waited and len(self._ready) >= _LARGE and self.expects_more():
            self._has_waited = True
            self._waiting = asyncio.get_running_loop().call_later(_LONGEST_WAIT, self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        self._waiting = None
        self._has_waited = False
        ready = self._ready
        try:
            self.spread()
            self._flush_slice(min(len(ready), _SLICE))
        finally:
            self._scheduled = bool(ready)
            if self._scheduled:
                asyncio.get_running_loop().call_soon(self._flush)

    def _flush_slice(self, count: int) -> None:
        """Write what is queued. The members of a room mostly have the same, which is joined once."""
        joined: Sequence[Prepared] = ()
        frames = b""
        take = self._ready.popleft
        for _ in range(count):
            session = take()
            write = session.write
            if write is None:
                session.flush()
                continue
            packets = session.outbox
            if packets is not joined and packets != joined:
                frames = join_frames(packets)
                joined = packets
            session.outbox = ()
            session.queued = 0
            try:
                sent = write(frames) if packets else len(frames)
            except OSError:  # it is full, or the connection broken: the transport finds out which
                sent = 0
            if sent < len(frames):
                session.wire.push(frames[sent:])
