"""What happens to a single server: killed, frozen, restarted, and its disk full."""

import asyncio
import random
from typing import Final

from tests.lossless.disk import SmallDisk
from tests.lossless.history import Fault, History
from tests.lossless.nemesis import Line, Strike
from tests.lossless.single import SingleStage
from tests.lossless.waiting import wait_until

DISK_BITES: Final = 5.0
"""Seconds until a full disk must have been felt: the write-ahead log has some room of its own."""


class SingleFaults:
    """Each method makes a fault, and undoes it."""

    def __init__(self, stage: SingleStage, history: History, disk: SmallDisk | None) -> None:
        self._node = stage.node
        self._history = history
        self._disk = disk

    def line(self, seed: int) -> Line:
        """Faults at random; first of all a `kill -9`, and a full disk where there is one."""
        disk: list[Strike] = [] if self._disk is None else [self.fill_disk]
        faults = [self.kill, self.kill, self.freeze, self.restart, *disk, *disk]
        return Line(random.Random(f"nemesis {seed}"), faults, first=[self.kill, *disk])

    def _note(self, name: str, detail: str = "") -> None:
        self._history.add(Fault(name, detail))

    async def kill(self, chance: random.Random) -> None:
        """SIGKILL."""
        self._note("kill -9")
        await self._node.kill()
        await asyncio.sleep(chance.uniform(0, 0.8))
        await self._node.start()
        self._note("started")

    async def restart(self, _chance: random.Random) -> None:
        """SIGTERM."""
        self._note("SIGTERM")
        code = await self._node.stop()
        assert code == 0, f"exit code {code} after SIGTERM:\n" + "\n".join(self._node.logs[-30:])
        await self._node.start()
        self._note("started")

    async def freeze(self, chance: random.Random) -> None:
        """SIGSTOP."""
        seconds = chance.uniform(0.2, 2.5)
        self._note("SIGSTOP", f"{seconds:.1f} s")
        self._node.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._node.thaw()

    async def fill_disk(self, chance: random.Random) -> None:
        """Fill the disk until it is felt, and a little longer."""
        assert self._disk is not None
        counts = self._history.counts
        self._note("disk full")
        self._disk.fill()
        try:
            refused = counts["Fail"] + 5
            await wait_until(lambda: counts["Fail"] >= refused, DISK_BITES)
            await asyncio.sleep(chance.uniform(0.2, 1.0))
        finally:
            self._disk.free()
            self._note("disk free")
