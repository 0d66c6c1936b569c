"""The floor: a bare `send(2)` loop, one call per delivery. Of no use; it is what the kernel charges."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.peer import Room, Venue
from benchmarks.processes import ROOT, serving


class Floor:
    """`benchmarks/floor/server.py`."""

    name = "floor"
    title = "bare send(2)"

    def missing(self) -> str | None:
        """Nothing: it is Python and this package."""
        return None

    def versions(self) -> dict[str, str]:
        """Of the interpreter that calls `send`."""
        return {"python": platform.python_version()}

    @contextmanager
    def serve(self, folder: Path, core: int | None) -> Iterator[Venue]:
        """One process, one room."""
        command = (sys.executable, "-m", "benchmarks.floor.server")
        with serving(command, folder, core, {**os.environ, "PYTHONPATH": str(ROOT)}) as address:
            yield Venue(address, lambda members: Room("floor", ({},) * members))
