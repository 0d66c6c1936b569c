"""The limiter of one process: for each key, the times of its successes within the window.

Exact, and cheap: an attempt may go on when the `limit`-th newest success is at least `window` old, whatever
lies in between. Times are kept as packed floats and stale ones cut off as the log grows, so a key costs 8
bytes for each success within its window. Idle keys cost nothing in the end: the keys of a window live in
two generations, a key that is used moves to the young one, and every `window` (or `block`, when that is
longer) the old one is thrown away whole.
"""

import time
from array import array
from bisect import bisect_left
from collections.abc import Callable
from math import ceil
from typing import Final

FEW: Final = 64
"""A log of fewer times than this is not worth cutting."""


class _Log:
    """What is known of one key: `times` of successes, oldest first, and the length to cut that at."""

    __slots__ = ("blocked_until", "cut_at", "times")

    def __init__(self) -> None:
        self.times = array("d")
        self.blocked_until = 0.0
        self.cut_at = FEW


class _Generations:
    """The logs of all keys with one window. `period` is the longest time that an idle key still matters."""

    __slots__ = ("old", "period", "turn_at", "young")

    def __init__(self, period: float, now: float) -> None:
        self.young: dict[str, _Log] = {}
        self.old: dict[str, _Log] = {}
        self.period = period
        self.turn_at = now + period

    def turn(self, now: float) -> None:
        """Throw away the logs that nobody has used for a whole period."""
        idle = now >= self.turn_at + self.period
        self.old = {} if idle else self.young
        self.young = {}
        self.turn_at = now + self.period

    def rejuvenate(self, key: str) -> _Log:
        """Return the log of a key that is not among the young ones, which it is from now on."""
        log = self.old.pop(key, None) or _Log()
        self.young[key] = log
        return log

    def keep_for(self, period: float, now: float) -> None:
        """See to it that what is young now stays for `period` seconds at least."""
        if period > self.period:
            self.period = period
            self.turn_at = now + period


class LocalLimiter:
    """Implements `cluster.base.Limiter`. `clock` gives seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_window: dict[float, _Generations] = {}

    def __len__(self) -> int:
        """The number of keys remembered."""
        return sum(len(keys.young) + len(keys.old) for keys in self._by_window.values())

    async def hit(self, key: str, limit: int, window: float, block: float = 0.0) -> int | None:
        """Count one attempt at `key`; None when it may go on, else the seconds until one may."""
        now = self._clock()
        keys = self._keys(window, now)
        log = keys.young.get(key) or keys.rejuvenate(key)
        if now < log.blocked_until:
            return ceil(log.blocked_until - now)
        times = log.times
        count = len(times)
        if count >= limit and (limit < 1 or now - times[-limit] < window):
            wait = times[-limit] + window - now if limit > 0 else window
            if block > 0.0:
                wait = block
                log.blocked_until = now + block
                keys.keep_for(block, now)
            return max(1, ceil(wait))
        _add(log, window, now)
        return None

    def learn(self, key: str, window: float, block: float, wait: int | None) -> None:
        """Take note of what another limiter has answered to an attempt, as if it had been made here."""
        if wait is not None and block <= 0.0:
            return
        now = self._clock()
        keys = self._keys(window, now)
        log = keys.young.get(key) or keys.rejuvenate(key)
        if wait is None:
            _add(log, window, now)
        else:
            log.blocked_until = now + wait
            keys.keep_for(block, now)

    def _keys(self, window: float, now: float) -> _Generations:
        keys = self._by_window.get(window)
        if keys is None:
            keys = self._by_window[window] = _Generations(window, now)
        elif now >= keys.turn_at:
            keys.turn(now)
        return keys


def _add(log: _Log, window: float, now: float) -> None:
    """Note a success. Times that have left the window are forgotten after as many more successes."""
    log.times.append(now)
    if len(log.times) <= log.cut_at:
        return
    del log.times[: bisect_left(log.times, True, key=lambda past: now - past < window)]
    log.cut_at = max(FEW, 2 * len(log.times))
