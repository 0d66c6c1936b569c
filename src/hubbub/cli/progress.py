"""A progress bar on stderr, for work that takes long: nothing is shown of what is done within a second."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Final, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Report: TypeAlias = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and how much there is (None: nobody knows)."""

LONG: Final = 1.0
"""Seconds after which the bar is shown."""


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[Report]:
    """Show what is reported, on a terminal only; the bar is gone when the block ends."""
    console = console or Console(file=sys.stderr)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("", total=None)

    def report(what: str, done: int, total: int | None) -> None:
        bar.update(task, description=what, completed=done, total=total)

    # By a timer, since a report may be long in coming.
    soon = Timer(LONG, bar.start)
    soon.daemon = True
    if console.is_terminal:
        soon.start()
    try:
        yield report
    finally:
        soon.cancel()
        if console.is_terminal:
            soon.join()
        if bar.live.is_started:
            bar.stop()
