"""What `make soak` plays: one server or several nodes, with faults from a seed."""

import random
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import combinations
from pathlib import Path
from typing import Final

from tests.lossless.cluster import ClusterStage
from tests.lossless.cluster_faults import FAULTS, RIGHTS, ClusterFault, Place
from tests.lossless.disk import SmallDisk
from tests.lossless.history import History
from tests.lossless.nemesis import Line
from tests.lossless.runs import Plan, Run
from tests.lossless.single import SingleStage
from tests.lossless.single_faults import SingleFaults
from tools.cluster import postgres

DISK_EVERY: Final = 3

PAIRS: Final = tuple(combinations(FAULTS, 2))
"""Each two kinds of faults of a cluster; a seed's pair is that at its number, and so on from the start."""


def missing_disks() -> str | None:
    """Why no disk can be had here that may run full; None when one can."""
    with tempfile.TemporaryDirectory() as folder:
        disk = SmallDisk(Path(folder))
        reason = disk.mount()
        disk.unmount()
    return None if reason is None else f"Without full disks: {reason}"


class Game(ABC):
    """Runs on a stage of their own, made from a seed. `npm`: with the stock clients, too."""

    def __init__(self, seconds: float, *, npm: bool) -> None:
        self.seconds = seconds
        self.npm = npm

    @abstractmethod
    def missing(self) -> str | None:
        """What cannot be had here, and why; to be told before the first run."""

    @abstractmethod
    def run(self, seed: int) -> AbstractAsyncContextManager[tuple[str, Run]]:
        """A run by its name, for as long as the context lasts."""


class SingleGame(Game):
    """One server on SQLite; every third run is on a small disk that is full now and then."""

    def __init__(self, seconds: float, *, npm: bool) -> None:
        super().__init__(seconds, npm=npm)
        self._no_disk: str | None = None
        self._runs = 0

    def missing(self) -> str | None:
        """Small disks, perhaps."""
        self._no_disk = missing_disks()
        return self._no_disk

    @asynccontextmanager
    async def run(self, seed: int) -> AsyncIterator[tuple[str, Run]]:
        """With faults of the server and of the network."""
        self._runs += 1
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            disk = None
            if self._no_disk is None and self._runs % DISK_EVERY == 0:
                disk = SmallDisk(Path(folder))
                disk.mount()
            try:
                async with SingleStage(Path(folder)) as stage:
                    plan = Plan(seed, self.seconds, npm=self.npm)
                    name = f"seed {seed}{' on a small disk' if disk else ''}"
                    yield (
                        name,
                        Run(plan, stage, lambda history: [SingleFaults(stage, history, disk).line(seed)]),
                    )
            finally:
                if disk is not None:
                    disk.unmount()


class ClusterGame(Game):
    """Three nodes on PostgreSQL and Valkey, with a pair of faults that overlap, and the network every other
    time.
    """

    def missing(self) -> str | None:
        """PostgreSQL, perhaps: then nothing can be played; or disks for it that may run full."""
        return postgres.missing() or missing_disks()

    @asynccontextmanager
    async def run(self, seed: int) -> AsyncIterator[tuple[str, Run]]:
        """With the seed's pair of faults."""
        pair = PAIRS[seed % len(PAIRS)]
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            async with ClusterStage(Path(folder)) as stage:
                network = seed % 2 == 0
                plan = Plan(seed, self.seconds, npm=self.npm, patience=15.0, network=network, rights=RIGHTS)
                lines = _Lines(stage, pair, seed)
                names = " x ".join(fault.name for fault in pair)
                yield f"seed {seed}, {names}{', bad network' if network else ''}", Run(plan, stage, lines)
                await stage.end()


class _Lines:
    def __init__(self, stage: ClusterStage, pair: tuple[ClusterFault, ...], seed: int) -> None:
        self._stage = stage
        self._pair = pair
        self._seed = seed

    def __call__(self, history: History) -> list[Line]:
        place = Place(self._stage, history, random.Random(f"nodes {self._seed}"))
        return [
            Line(random.Random(f"{fault.name} {self._seed}"), [fault.strike(place)])
            for fault in self._pair
            if fault.missing(self._stage) is None
        ]
