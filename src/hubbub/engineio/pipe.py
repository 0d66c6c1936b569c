"""A WebSocket that is passed on: two connections, each of which writes what the other reads.

Neither holds more than its transport's buffer: a side that does not read stops the other one's reading.

A node that stops says goodbye in place of the session's node, once a frame of that one is over:

    passing on -> dismissed -> goodbye said, nothing passed on any more -> the client hangs up -> over
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from hubbub.engineio.boundaries import Boundaries
from hubbub.engineio.closing import SERVER_SHUTDOWN
from hubbub.engineio.timers import Timers

_TEXT: Final = SERVER_SHUTDOWN.name.encode()
# A final close frame of a server, with a code and a reason (RFC 6455 sections 5.2 and 5.5.1).
GOODBYE: Final = bytes((0x88, 2 + len(_TEXT))) + SERVER_SHUTDOWN.code.to_bytes(2) + _TEXT


class Pipe:
    """Both ends. It begins at once; `over` is called once, at its end.

    `patience` is how long both may be silent: heartbeats are more frequent.
    """

    __slots__ = ("_ends", "_over", "_patience", "_there", "_timers", "heard_at", "is_over", "timer_slot")

    def __init__(
        self,
        client: asyncio.Transport,
        there: asyncio.Transport,
        timers: Timers,
        patience: float,
        over: "Callable[[Pipe], None]",
    ) -> None:
        self._ends = (client, there)
        self._timers = timers
        self._patience = patience
        self._over = over
        self._there = Session(self, client)
        self.is_over = False
        self.timer_slot = -1
        self.heard_at = monotonic()
        timers.schedule(self, self.heard_at + patience)
        client.set_protocol(End(self, there))
        there.set_protocol(self._there)
        client.resume_reading()
        if there.is_closing():
            self.close()

    def close(self) -> None:
        """End it, once what is on its way is written."""
        if not self.is_over:
            self.is_over = True
            self._timers.cancel(self)
            for transport in self._ends:
                transport.resume_reading()
                transport.close()
            self._over(self)

    def dismiss(self) -> None:
        """End it because this node stops, and tell the client so as soon as that can be said."""
        self._there.dismiss()

    def dismissed(self) -> None:
        """The client was told, and is to hang up; what it still says is for nobody."""
        client, there = self._ends
        client.set_protocol(Rest(self))
        client.resume_reading()
        there.close()
        if client.can_write_eof():
            client.write_eof()

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


class Session(End):
    """What the session's node says, which has to be followed: the client can be told something only between
    two frames.
    """

    __slots__ = ("_boundaries", "_has_said", "_is_dismissed")

    def __init__(self, pipe: Pipe, client: asyncio.Transport) -> None:
        super().__init__(pipe, client)
        self._boundaries = Boundaries()
        self._is_dismissed = False
        self._has_said = False

    def dismiss(self) -> None:
        """Say goodbye to the client now, or behind the frame that is on its way."""
        self._is_dismissed = True
        if self._boundaries.is_between:
            self._say_goodbye()
        elif not self._boundaries.is_open:
            self._pipe.close()

    def data_received(self, data: bytes) -> None:
        """Pass it on, but nothing behind a goodbye."""
        end = self._boundaries.advance(data)
        if not self._is_dismissed or end < 0:
            super().data_received(data)
        elif not self._other.is_closing():
            self._other.write(data[:end])
            self._say_goodbye()

    def connection_lost(self, exc: Exception | None) -> None:
        """It hung up: so does this node, unless it has said that the client should."""
        if not self._has_said:
            super().connection_lost(exc)

    def _say_goodbye(self) -> None:
        self._has_said = True
        if not self._other.is_closing():
            self._other.write(GOODBYE)
        self._pipe.dismissed()


class Rest(asyncio.Protocol):
    """What a client says that was told goodbye. Nobody listens, but a reset would take that from it."""

    __slots__ = ("_pipe",)

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def connection_lost(self, exc: Exception | None) -> None:
        """It hung up."""
        self._pipe.close()
