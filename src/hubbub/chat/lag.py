"""Event-loop lag: how late the loop runs what is due. All users wait for it alike.

One timer for the whole process: every `INTERVAL` seconds it compares the time with the one at which it was
due.
"""

import asyncio
from collections import deque
from typing import Final

from hubbub.chat.deadlines import Timer, Timers

INTERVAL: Final = 0.5
"""Seconds between two measurements."""

SAMPLES: Final = 10
"""Measurements that count: those of the last 5 s."""


class LoopLag:
    """Measures the lag of an event loop; the running one when no `timers` are given. Must be closed."""

    def __init__(self, timers: Timers | None = None) -> None:
        self._timers = timers
        self._samples: deque[float] = deque((0.0,), maxlen=SAMPLES)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Measure from now on."""
        timers = self._timers = self._timers or asyncio.get_running_loop()
        self._wait(timers, timers.time() + INTERVAL)

    def worst(self) -> float:
        """Return the longest lag of late, in seconds."""
        return max(self._samples)

    def close(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, timers: Timers, due: float) -> None:
        self._timer = timers.call_at(due, lambda: self._measure(timers, due))

    def _measure(self, timers: Timers, due: float) -> None:
        now = timers.time()
        self._samples.append(max(0.0, now - due))
        self._wait(timers, now + INTERVAL)
