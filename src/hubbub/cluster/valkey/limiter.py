"""The limiter of many nodes: for each key, the times of its successes, by Valkey's clock.

An attempt may go on when the `limit`-th newest success is at least `window` old. While Valkey is away every
node counts for itself, from nothing.
"""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Final

from hubbub.cluster.local.limiter import LocalLimiter
from hubbub.cluster.valkey.batches import Away, Batches, Change, Look, Plan
from hubbub.cluster.valkey.line import Command

_MARGIN: Final = 60_000
"""Milliseconds that a key is kept for when nothing in it matters any more."""


class ValkeyLimiter:
    """Implements `cluster.base.Limiter`. `clock` (seconds) stands in for that of Valkey in tests."""

    def __init__(self, batches: Batches, prefix: str, clock: Callable[[], float] | None = None) -> None:
        self._batches = batches
        self._prefix = prefix
        self._clock = clock
        self._alone = LocalLimiter()

    async def hit(self, key: str, limit: int, window: float, block: float = 0.0) -> int | None:
        """Count one attempt at `key`; None when it may go on, else the seconds until one may."""
        try:
            return await self._batches.do(key, partial(self._plan, key, limit, window, block))
        except Away:
            return await self._alone.hit(key, limit, window, block)

    def _plan(self, key: str, limit: int, window: float, block: float) -> Plan[int | None]:
        times, blocked = f"{self._prefix}{{limits}}:{key}", f"{self._prefix}{{limits}}:blocked:{key}"
        looks: list[Command] = [("TIME",), ("LINDEX", times, -limit)]
        if block > 0.0:
            looks.append(("GET", blocked))
        time, oldest, *until = yield Look(looks, watch=(times, blocked) if block > 0.0 else (times,))
        now = int(time[0]) * 1_000_000 + int(time[1])
        if self._clock is not None:
            now = round(self._clock() * 1_000_000)
        if until and until[0] is not None and now < int(until[0]):
            return ceil((int(until[0]) - now) / 1_000_000)
        span = round(window * 1_000_000)
        free_at = now + span if limit < 1 else 0 if oldest is None else int(oldest) + span
        if now >= free_at:
            changes: list[Command] = [("RPUSH", times, now), ("PEXPIRE", times, _milliseconds(window))]
            if oldest is not None:
                changes.append(("LTRIM", times, -limit, -1))
            yield Change(changes)
            return None
        if block > 0.0:
            wait = round(block * 1_000_000)
            yield Change([("SET", blocked, now + wait, "PX", _milliseconds(block))])
        else:
            wait = free_at - now
        return max(1, ceil(wait / 1_000_000))


def _milliseconds(seconds: float) -> int:
    return ceil(seconds * 1000) + _MARGIN
