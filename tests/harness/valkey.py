"""A real Valkey for a test: on a socket of its own, gone afterwards."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.cluster.valkey import LocalValkey, missing

SAVED = 30.0
"""Seconds that saving may take on a busy machine."""


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

    def drop_file(self) -> None:
        """Remove what replication has left on disk: started again, it is to be empty."""
        self._dump.unlink(missing_ok=True)

    def break_saving(self) -> None:
        """Have it fail to save: something is where its file would be. It refuses writes from then on."""
        self._dump.mkdir()
        assert self.ask("CONFIG", "SET", "save", "3600 1") == b"+OK\r\n"
        self._save("err")
        assert self.ask("SET", "x", "y").startswith(b"-MISCONF")

    def mend_saving(self) -> None:
        """Have it save once more, and no longer."""
        self._dump.rmdir()
        self._save("ok")
        assert self.ask("CONFIG", "SET", "save", "") == b"+OK\r\n"
        self._dump.unlink()

    @property
    def _dump(self) -> Path:
        return self.folder / "dump.rdb"

    def _save(self, outcome: str) -> None:
        assert self.ask("BGSAVE").startswith(b"+Background saving")
        deadline = time.monotonic() + SAVED
        while f"rdb_last_bgsave_status:{outcome}".encode() not in self.ask("INFO", "persistence"):
            assert time.monotonic() < deadline, f"saving never ended with {outcome}"
            time.sleep(0.02)

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
