"""Health: the server's judgement of itself (contract, section 7). Critical means that users are being
failed now.

Each concern is a probe, two thresholds, a sentence for what is wrong and one for what to do. What the
probes measure is known elsewhere; here it is only compared.
"""

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hubbub.cluster.reports import Finding
from hubbub.contract.values import HealthStatus
from hubbub.store.base import StoreError

DATABASE_CHECK_EVERY: Final = 5.0
"""Seconds for which the answer of the database holds, so that asking for health is no load on it."""

DATABASE_CHECK_TIMEOUT: Final = 5.0

_MEBIBYTE: Final = 1024 * 1024
_STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Threshold:
    """From where on a value is a warning, and from where on critical."""

    warning: float
    critical: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Of all concerns: a share of attempts, seconds, and bytes."""

    error_rate: Threshold = Threshold(0.1, 0.5)
    loop_lag: Threshold = Threshold(0.1, 1.0)
    database_latency: Threshold = Threshold(0.25, 2.0)
    bus_silence: Threshold = Threshold(5.0, 15.0)
    memory: Threshold = Threshold(1024 * _MEBIBYTE, 2048 * _MEBIBYTE)
    backlog: Threshold = Threshold(64 * _MEBIBYTE, 256 * _MEBIBYTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Where the values come from, in the units of `Thresholds`.

    `check_database` is `Store.check`. `bus_silence` is how long ago the node last heard itself on the
    cluster bus; 0 where there is none.
    """

    error_rate: Callable[[], float]
    loop_lag: Callable[[], float]
    check_database: Callable[[], Awaitable[None]]
    bus_silence: Callable[[], float]
    memory: Callable[[], float]
    backlog: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that may be wrong. `issue` words a value, `advice` says what to do about it."""

    probe: Callable[[], float]
    threshold: Threshold
    issue: Callable[[float], str]
    advice: str

    def judge(self) -> Finding | None:
        """Return what is wrong, if anything is."""
        value = self.probe()
        if value < self.threshold.warning:
            return None
        critical = value >= self.threshold.critical
        return Finding(
            status=HealthStatus.CRITICAL if critical else HealthStatus.WARNING,
            issue=self.issue(value),
            advice=self.advice,
        )


class Health:
    """Judges the server when asked. `clock` gives seconds and never goes back."""

    def __init__(
        self, probes: Probes, thresholds: Thresholds, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = _Database(probes.check_database, clock)
        self._concerns = _concerns(probes, thresholds, self._database.latency)

    async def judge(self, patience: float | None = None) -> list[Finding]:
        """Return what is wrong and what to do about it; nothing when all is well.

        After `patience` seconds the database counts as one that has not answered yet.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._database.look()
        return [found for concern in self._concerns if (found := concern.judge()) is not None]

    async def close(self) -> None:
        """Wait for nothing more."""
        await self._database.close()


class _Database:
    """How long the database takes to answer; infinity when it does not."""

    def __init__(self, check: Callable[[], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._check = check
        self._clock = clock
        # The look under way, and when the last one began and was over.
        self._looking: asyncio.Task[None] | None = None
        self._begun_at = -math.inf
        self._checked_at = -math.inf
        self._latency = 0.0

    def latency(self) -> float:
        """Return what the last look has shown, in seconds; that of one under way, if it takes longer."""
        if self._looking is None:
            return self._latency
        return max(self._latency, self._clock() - self._begun_at)

    async def look(self) -> None:
        """Ask the database, unless that was done a moment ago. Everybody waits for the same answer."""
        if self._looking is None:
            if self._clock() - self._checked_at < DATABASE_CHECK_EVERY:
                return
            self._looking = asyncio.create_task(self._ask())
        await asyncio.shield(self._looking)

    async def close(self) -> None:
        """Give up a look under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))

    async def _ask(self) -> None:
        begun = self._begun_at = self._clock()
        try:
            async with asyncio.timeout(DATABASE_CHECK_TIMEOUT):
                await self._check()
            self._latency = self._clock() - begun
            self._checked_at = self._clock()
        except (StoreError, TimeoutError):
            self._latency = math.inf
            self._checked_at = self._clock()
        finally:
            self._looking = None


def resident_bytes() -> float:
    """Return how much memory the process holds; 0 where the system does not tell."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _concerns(
    probes: Probes, thresholds: Thresholds, database_latency: Callable[[], float]
) -> tuple[Concern, ...]:
    values = (
        (probes.error_rate, thresholds.error_rate),
        (probes.loop_lag, thresholds.loop_lag),
        (database_latency, thresholds.database_latency),
        (probes.bus_silence, thresholds.bus_silence),
        (probes.memory, thresholds.memory),
        (probes.backlog, thresholds.backlog),
    )
    return tuple(Concern(*value, *texts) for value, texts in zip(values, _TEXTS, strict=True))


def _database_issue(seconds: float) -> str:
    if math.isinf(seconds):
        return "The database does not answer"
    return f"The database takes {seconds * 1000:.0f} ms to answer"


_TEXTS: Final[tuple[tuple[Callable[[float], str], str], ...]] = (
    (
        lambda share: f"{share:.0%} of the connection attempts of the last 15 minutes failed",
        "See monitoring:events for the reasons: expired tokens, a wrong secret, one address that tries on.",
    ),
    (
        lambda seconds: f"The event loop runs {seconds * 1000:.0f} ms late",
        "The processor is the limit: spread the users over more nodes, or give this one a faster core.",
    ),
    (
        _database_issue,
        "Look at the disk of the database: free space, load, and how long it takes to sync.",
    ),
    (
        lambda seconds: f"This node has not heard itself on the cluster bus for {seconds:.0f} s",
        "Check that the bus runs and that this node can reach it.",
    ),
    (
        lambda size: f"The process holds {size / _MEBIBYTE:.0f} MiB of memory",
        "Spread the users over more nodes, or raise the threshold if the machine has memory to spare.",
    ),
    (
        lambda size: f"{size / _MEBIBYTE:.0f} MiB wait to be sent to clients",
        "Clients read too slowly: check the network, or lower the outbox limit to let them go earlier.",
    ),
)
"""What is wrong and what to do about it, in the order of `Probes`."""
