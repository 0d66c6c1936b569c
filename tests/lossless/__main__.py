"""`make soak MINUTES=n SEED=s`: run after run, each with a seed of its own, until the time is over.

It begins with absences of 30 s, a few at a time, where Node.js is there. Every third run is played on a small
disk that is full now and then, where one can be mounted. With `NODES=yes` it is played over three nodes, seed
after seed with another pair of the faults of a cluster. Exit code 1 on the first violation, which is shown
with its part of the history; the whole of it is kept in a file.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.conftest import missing_for_node
from tests.lossless.absence import CASES, MESSAGES, miss
from tests.lossless.games import ClusterGame, Game, SingleGame
from tests.lossless.history import History
from tests.lossless.runs import Run, count
from tests.lossless.violations import Violation, show

ABSENCE: Final = 30.0
AT_ONCE: Final = 4


class Soak:
    """All runs of one call, and what they came to."""

    def __init__(self, console: Console, options: argparse.Namespace) -> None:
        self._console = console
        self._options = options
        self._npm = missing_for_node() is None
        game = ClusterGame if options.nodes else SingleGame
        self._game: Game = game(options.seconds, npm=self._npm)
        self._totals: Counter[str] = Counter()
        self._runs = 0

    async def play(self) -> int:
        """Play until the time is over or something is wrong; the exit code."""
        self._announce()
        ends = time.monotonic() + 60 * self._options.minutes
        if self._npm and self._options.absence and not self._options.nodes and not await self._be_absent():
            return 1
        seed = self._options.seed
        while self._runs == 0 or time.monotonic() < ends:
            if not await self._run(seed):
                return 1
            seed += 1
        self._sum_up()
        return 0

    def _announce(self) -> None:
        if not self._npm:
            self._console.print(f"[yellow]Without the stock client: {missing_for_node()}")
        missing = self._game.missing()
        if missing is not None:
            self._console.print(f"[yellow]{missing}")

    async def _be_absent(self) -> bool:
        """All absences, a few at a time: each has a server of its own."""
        seconds = self._options.absence
        with self._progress() as progress, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            told = f"{len(CASES)} clients are away for {seconds:g} s while {MESSAGES} messages pass"
            task = progress.add_task(told, total=None)
            turn = asyncio.Semaphore(AT_ONCE)

            async def play(number: int, name: str) -> bool:
                place = Path(folder) / str(number)
                place.mkdir()
                async with turn:
                    history, violations = await miss(CASES[name], place, seconds)
                if violations:
                    self._report(f"absence {name}", history, violations)
                return not violations

            good = await asyncio.gather(*(play(number, name) for number, name in enumerate(CASES)))
            progress.remove_task(task)
        if all(good):
            self._console.print(f"{told}: each has all of them, in order")
        return all(good)

    async def _run(self, seed: int) -> bool:
        """One run; False when something is wrong."""
        self._runs += 1
        async with self._game.run(seed) as (name, run):
            return await self._watch(name, run)

    async def _watch(self, name: str, run: Run) -> bool:
        """Play a run and show how it goes."""
        playing = asyncio.create_task(run.play())
        with self._progress() as progress:
            task = progress.add_task("", total=None)
            while not playing.done():
                progress.update(task, description=_glance(run))
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(playing), 0.2)
            progress.remove_task(task)
        violations = playing.result()
        figures = count(run.history)
        self._totals.update(figures)
        self._totals["runs"] += 1
        self._console.print(_line(name, figures, violations), soft_wrap=True)
        if violations:
            self._report(name, run.history, violations)
        return not violations

    def _progress(self) -> Progress:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        off = not self._console.is_terminal
        return Progress(*columns, console=self._console, transient=True, disable=off)

    def _report(self, name: str, history: History, violations: list[Violation]) -> None:
        with tempfile.NamedTemporaryFile(prefix="history-", suffix=".jsonl", delete=False) as file:
            path = Path(file.name)
        history.save(path)
        self._console.print(f"[red]{name}: {len(violations)} violations; the whole history is in {path}")
        told = show(history.entries, violations)
        self._console.print(told, markup=False, highlight=False, soft_wrap=True)

    def _sum_up(self) -> None:
        table = Table("", "in all", title=f"{self._totals.pop('runs')} runs, no violation")
        names = list(self._totals)
        faults = sorted(name for name in names if name.startswith(" "))
        others = [name for name in names if name not in faults]
        place = others.index("faults") + 1
        for name in [*others[:place], *faults, *others[place:]]:
            number = self._totals[name]
            table.add_row(name, f"{number:,}".replace(",", " "))
        self._console.print(table)


def _glance(run: Run) -> str:
    counts = run.history.counts
    return (
        f"seed {run.plan.seed}: {run.phase}, {counts['Invoke']} attempts, {counts['Ok']} acknowledged, "
        f"{counts['Fault']} faults, {counts['Opened']} connections, {counts['Delivered']} deliveries"
    )


def _line(name: str, figures: dict[str, int], violations: list[Violation]) -> str:
    kills = figures.get("  kill -9", 0)
    recoveries = sum(number for name, number in figures.items() if name.startswith("recovered"))
    verdict = (
        f"[red]{len(violations)} violations" if violations else "[green]nothing lost, doubled or disordered"
    )
    return (
        f"{name}: {figures['sends']} sends, "
        f"{figures['acknowledged']} acknowledged, {figures['faults']} faults ({kills} x kill -9), "
        f"{recoveries} recoveries, {figures['deliveries']} deliveries: {verdict}"
    )


def main() -> int:
    """Read the command line and play."""
    parser = argparse.ArgumentParser(prog="python -m tests.lossless", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long to go on (5)")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the first run; then one more each"
    )
    parser.add_argument("--nodes", action="store_true", help="three nodes on PostgreSQL and Valkey")
    parser.add_argument("--seconds", type=float, default=15, help="of faults in a run (15)")
    parser.add_argument("--absence", type=float, default=ABSENCE, help="seconds, 0 for none (30)")
    options = parser.parse_args()
    console = Console()
    console.print(f"Seed {options.seed}, {options.minutes:g} minutes")
    return asyncio.run(Soak(console, options).play())


if __name__ == "__main__":
    sys.exit(main())
