# A stretch of the way in docs/life-of-a-message.md.
"""The end of a turn: every session that something was sent to is flushed once, one write for all of it."""

import asyncio
from collections import deque

from hubbub.engineio.packets import Prepared
from hubbub.engineio.session import Session

# Flushing this many connections takes a few milliseconds; the rest waits for the next turn of the loop. Each
# session keeps its own order, so slicing the flush changes none.
_SLICE = 500


class FrameJoiner:
    """Joins an outbox to what is written to a WebSocket.

    The members of a room mostly have the same packets in their outboxes, so the last result is kept for the
    next one.
    """

    def __init__(self) -> None:
        self._packets: list[Prepared] = []
        self._joined = b""

    def join(self, packets: list[Prepared]) -> bytes:
        """The packets' frames in one piece. The list must not change afterwards."""
        if len(packets) == 1:
            return packets[0].frame
        if packets != self._packets:
            self._joined = b"".join([packet.frame for packet in packets])
            self._packets = packets
        return self._joined

    def clear(self) -> None:
        """Let go of the last result."""
        self._packets = []
        self._joined = b""


class Flusher:
    """Collects the sessions with something to send. Use on the event loop's thread only."""

    def __init__(self) -> None:
        self.frames = FrameJoiner()
        self._ready: deque[Session] = deque()
        self._scheduled = False

    def wake(self, session: Session) -> None:
        """Flush the session at the end of this turn."""
        self._ready.append(session)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        ready = self._ready
        try:
            for _ in range(min(len(ready), _SLICE)):
                ready.popleft().flush()
        finally:
            self._scheduled = bool(ready)
            if self._scheduled:
                asyncio.get_running_loop().call_soon(self._flush)
            else:
                self.frames.clear()
