"""The nemesis: lines of faults at random, from a seed, each fault undone after a while.

The lines run side by side, so their faults overlap. The same seed makes the same faults; when exactly they
strike is up to the machine.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Strike: TypeAlias = Callable[[random.Random], Awaitable[None]]
"""Makes a fault; returns when it has been undone."""


@dataclass(frozen=True, slots=True)
class Line:
    """Faults one after the other: first these, then any, with a pause of so many seconds before each."""

    chance: random.Random
    faults: Sequence[Strike]
    first: Sequence[Strike] = ()
    pause: tuple[float, float] = (0.5, 2.5)

    async def run(self, deadline: float) -> None:
        """Make faults; returns when the last one has been undone."""
        for number in itertools.count():
            await asyncio.sleep(self.chance.uniform(*self.pause))
            if time.monotonic() > deadline:
                return
            chosen = self.chance.choice(self.faults)
            await (self.first[number] if number < len(self.first) else chosen)(self.chance)


async def haunt(lines: Sequence[Line], seconds: float) -> None:
    """Make the faults of all lines for so long."""
    deadline = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for line in lines:
            group.create_task(line.run(deadline))
