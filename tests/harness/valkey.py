"""A real Valkey for a test: on a socket of its own, gone afterwards."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.cluster.valkey import LocalValkey, missing


class ValkeyServer(LocalValkey):
    """A server in a folder of its own. `start` skips the test where there is no program for it."""

    def __init__(self, *options: str, port: int = 0, sentinel: tuple[str, ...] = ()) -> None:
        folder = Path(tempfile.mkdtemp(prefix="hubbub-valkey-"))
        super().__init__(folder, *options, port=port, sentinel=sentinel)

    def start(self) -> None:
        """Start it; returns once it answers."""
        if (reason := missing()) is not None:
            pytest.skip(reason)
        super().start()

    def url_for(self, user: str, password: str) -> str:
        """The URL of its socket for one of its users."""
        return f"unix://{user}:{password}@{self.path}"

    def pause(self) -> None:
        """Stop it in its tracks: it keeps its connections and answers nothing."""
        os.kill(self.program.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.program.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self.program.stop(signal.SIGKILL, 10.0)
        self.path.unlink(missing_ok=True)

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def running(*servers: ValkeyServer) -> Iterator[None]:
    """Start servers; they are gone afterwards."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.remove()
