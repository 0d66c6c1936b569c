"""The limiter of many nodes, before each request (docs/life-of-a-message.md): for each key, the times of its
successes, by Valkey's clock.

An attempt may go on when the `limit`-th newest success is at least `window` old.

    hit -> Valkey's count, while each of its answers takes at most 30 ms -> noted in this node's count, too
        -> this node's count alone, from the first answer that is late until one is in time

So a slow Valkey delays nobody. An attempt that was given up is counted here alone, unless its change was
under way: then in both. What a node counted alone the others do not learn (decision 19).
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Final

from hubbub.cluster.local.limiter import LocalLimiter
from hubbub.cluster.valkey.batches import Away, Batches, Change, Look, Plan
from hubbub.cluster.valkey.line import Command

log = logging.getLogger(__name__)

_MARGIN: Final = 60_000
"""Milliseconds that a key is kept for when nothing in it matters any more."""

_PAUSE: Final = 0.25
"""Seconds between two looks whether Valkey answers in time again."""


class ValkeyLimiter:
    """Implements `cluster.base.Limiter`. Must be closed. `clock` (seconds) stands in for that of Valkey, and
    for this node's, in tests.
    """

    def __init__(self, batches: Batches, prefix: str, clock: Callable[[], float] | None = None) -> None:
        self._batches = batches
        self._prefix = prefix
        self._clock = clock
        self._own = LocalLimiter() if clock is None else LocalLimiter(clock)
        # There while this node counts alone.
        self._probing: asyncio.Task[None] | None = None
        # Attempts that this node counted alone.
        self.alone = 0

    @property
    def is_shared(self) -> bool:
        """Whether attempts are counted over all nodes now."""
        return self._probing is None

    async def close(self) -> None:
        """Ask nothing any more."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait((self._probing,))

    async def hit(self, key: str, limit: int, window: float, block: float = 0.0) -> int | None:
        """Count one attempt at `key`; None when it may go on, else the seconds until one may."""
        if self.is_shared:
            try:
                wait = await self._batches.do(key, partial(self._plan, key, limit, window, block))
            except Away:
                self._go_alone()
            else:
                self._own.learn(key, window, block, wait)
                return wait
        self.alone += 1
        return await self._own.hit(key, limit, window, block)

    def _go_alone(self) -> None:
        if self._probing is None:
            log.warning("Valkey does not answer in time: this node counts for the limits alone")
            self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        """Wait until Valkey answers in time again, by asking one thing after the other."""
        is_in_time = False
        while not is_in_time:
            await asyncio.sleep(_PAUSE)
            try:
                await self._batches.do(None, _anything)
                is_in_time = True
            except Away:
                """Not yet."""
        log.info("Valkey answers in time again: the limits are counted over all nodes")
        self._probing = None

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


def _anything() -> Plan[None]:
    yield Look([("TIME",)])
