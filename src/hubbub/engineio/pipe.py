"""A WebSocket that is passed on: two connections, each of which writes what the other reads.

Neither holds more than its transport's buffer: a side that does not read stops the other one's reading.
"""

import asyncio
from time import monotonic

from hubbub.engineio.timers import Timers


class Pipe:
    """Both ends. It begins at once, and leaves `pipes` when it is over.

    `patience` is how long both may be silent: heartbeats are more frequent.
    """

    __slots__ = ("_ends", "_patience", "_pipes", "_timers", "heard_at", "timer_slot")

    def __init__(
        self,
        client: asyncio.Transport,
        there: asyncio.Transport,
        timers: Timers,
        patience: float,
        pipes: "set[Pipe]",
    ) -> None:
        self._ends = (client, there)
        self._timers = timers
        self._patience = patience
        self._pipes = pipes
        self.timer_slot = -1
        self.heard_at = monotonic()
        pipes.add(self)
        timers.schedule(self, self.heard_at + patience)
        client.set_protocol(End(self, there))
        there.set_protocol(End(self, client))
        client.resume_reading()
        if there.is_closing():
            self.close()

    def close(self) -> None:
        """End it, once what is on its way is written."""
        if self in self._pipes:
            self._pipes.discard(self)
            self._timers.cancel(self)
            for transport in self._ends:
                transport.resume_reading()
                transport.close()

    def expire(self, now: float) -> float | None:
        """See whether anybody is there still."""
        until = self.heard_at + self._patience
        if now < until:
            return until
        for transport in self._ends:
            transport.abort()
        return None


class End(asyncio.Protocol):
    """What one side says."""

    __slots__ = ("_other", "_pipe")

    def __init__(self, pipe: Pipe, other: asyncio.Transport) -> None:
        self._pipe = pipe
        self._other = other

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self._pipe.heard_at = monotonic()
        if not self._other.is_closing():
            self._other.write(data)

    def pause_writing(self) -> None:
        """This side does not read: the other one has to wait."""
        self._other.pause_reading()

    def resume_writing(self) -> None:
        """This side reads again."""
        self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """One side hung up, and so does the other."""
        self._pipe.close()
