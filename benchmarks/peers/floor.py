"""The floor: a bare `send(2)` loop, one call per delivery. Of no use; it is what the kernel charges."""

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.peer import Venue
from benchmarks.peers.unchecked import environment, venue
from benchmarks.processes import serving


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
    def serve(self, folder: Path, core: int | None, extras: frozenset[str]) -> Iterator[Venue]:
        """One process, no extras."""
        command = (sys.executable, "-m", "benchmarks.floor.server")
        with serving(command, folder, core, environment(extras)) as address:
            yield venue(address)
