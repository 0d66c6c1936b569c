"""Nodes ask each other about themselves, over the bus.

    ask -> Asked, to all ... those named -> Reported, to the asker alone ... all there, or a second is over

Nothing is asked for again: who asks is told whose report is missing, and may ask once more.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Final

from hubbub.cluster.base import Asked, Reported, Telling
from hubbub.cluster.reports import Question, Report
from hubbub.cluster.valkey.bus import ValkeyBus
from hubbub.cluster.valkey.places import Places

log = logging.getLogger(__name__)

PATIENCE: Final = 1.0
"""Seconds that the others have."""

_MOST_ANSWERING: Final = 32
"""Questions that a node answers at the same time; more are not answered."""

_MOST_WAITING: Final = 1_048_576
"""Bytes in the queue to the bus from which on nothing is reported: reports are not to crowd tellings out."""


class _Reports:
    """What has come to one question so far."""

    def __init__(self, names: AbstractSet[str]) -> None:
        self.found: dict[str, Report] = {}
        self.is_whole = asyncio.Event()
        self._names = names

    def add(self, report: Report) -> None:
        """Take one in; once from each node that was asked."""
        if report.node in self._names:
            self.found[report.node] = report
        if len(self.found) == len(self._names):
            self.is_whole.set()


class ValkeyNodes:
    """Implements `cluster.base.Nodes`. `heard` is to be subscribed to the bus. Must be closed."""

    def __init__(self, bus: ValkeyBus, places: Places) -> None:
        self.name = places.name
        self._bus = bus
        self._places = places
        self._report: Callable[[Question], Awaitable[Report]] | None = None
        # Own questions that wait, by their numbers; and those of others being answered.
        self._asked: dict[int, _Reports] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def names(self) -> list[str]:
        """Return the names of the nodes that are alive and can be found; with Valkey away, as they were."""
        return sorted({*await self._places.names(), self.name})

    async def ask(self, question: Question, names: AbstractSet[str]) -> list[Report]:
        """Return what other nodes report within a second."""
        others = frozenset(names) - {self.name}
        if not others:
            return []
        number = secrets.randbits(62)
        reports = self._asked[number] = _Reports(others)
        try:
            async with asyncio.timeout(PATIENCE):
                self._bus.publish(Asked(number=number, asker=self.name, names=others, question=question))
                await reports.is_whole.wait()
        except TimeoutError:
            missing = sorted(others - reports.found.keys())
            log.warning("nodes that did not report within %.0f s: %s", PATIENCE, ", ".join(missing))
        finally:
            del self._asked[number]
        return list(reports.found.values())

    def answer_with(self, report: Callable[[Question], Awaitable[Report]]) -> None:
        """Have the questions of others answered."""
        self._report = report

    def heard(self, telling: Telling) -> None:
        """Act on what the bus tells."""
        if isinstance(telling, Asked):
            if self.name in telling.names:
                self._begin(telling)
        elif isinstance(telling, Reported) and telling.number in self._asked:
            self._asked[telling.number].add(telling.report)

    async def close(self) -> None:
        """Answer nothing more."""
        self._report = None
        for task in self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering)

    # Answering.

    def _begin(self, asked: Asked) -> None:
        if self._report is None:
            return
        if len(self._answering) >= _MOST_ANSWERING or self._bus.voice.backlog > _MOST_WAITING:
            log.warning("too much to do: node %s gets no report of this one", asked.asker)
            return
        task = asyncio.create_task(self._answer(asked, self._report))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, asked: Asked, make: Callable[[Question], Awaitable[Report]]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                report = await make(asked.question)
            self._bus.publish(Reported(number=asked.number, asker=asked.asker, report=report))
        except TimeoutError:
            log.debug("a report for node %s was not ready in time", asked.asker)
        except Exception:
            log.exception("a report for node %s failed", asked.asker)
