"""python-socketio on uvicorn, in memory and nothing checked: `benchmarks/python_socketio/server.py`."""

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.peers.peer import Venue
from benchmarks.peers.unchecked import environment, venue
from benchmarks.processes import serving

_LIBRARIES: Final = {
    "python-socketio": "socketio",
    "python-engineio": "engineio",
    "uvicorn": "uvicorn",
    "uvloop": "uvloop",
    "websockets": "websockets",
}


class PythonSocketIO:
    """The other Socket.IO server in Python."""

    name = "python-socketio"
    title = "python-socketio"

    def missing(self) -> str | None:
        """The library, or what it is served by."""
        absent = [name for name, module in _LIBRARIES.items() if find_spec(module) is None]
        return f"not installed here: {', '.join(absent)}; run `make bench`" if absent else None

    def versions(self) -> dict[str, str]:
        """Of Python and all libraries on the way of a message."""
        return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}

    @contextmanager
    def serve(self, folder: Path, core: int | None, extras: frozenset[str]) -> Iterator[Venue]:
        """One process."""
        command = (sys.executable, "-m", "benchmarks.python_socketio.server")
        with serving(command, folder, core, environment(extras)) as address:
            yield venue(address)
