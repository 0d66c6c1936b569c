"""Tally: how often something has happened of late."""

import time
from collections.abc import Callable


class Tally:
    """Counts what happened in the last `seconds` seconds, to the second, in constant time and memory.

    `clock` gives seconds and never goes back.
    """

    __slots__ = ("_buckets", "_clock", "_second", "_total")

    def __init__(self, seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets = [0] * seconds
        self._second = int(clock())
        self._total = 0

    def add(self) -> None:
        """Count one."""
        self._turn()
        self._buckets[self._second % len(self._buckets)] += 1
        self._total += 1

    def total(self) -> int:
        """Return the count."""
        self._turn()
        return self._total

    def _turn(self) -> None:
        """Take off what has become too old."""
        buckets = self._buckets
        now = int(self._clock())
        for second in range(max(self._second + 1, now - len(buckets) + 1), now + 1):
            place = second % len(buckets)
            self._total -= buckets[place]
            buckets[place] = 0
        self._second = now
