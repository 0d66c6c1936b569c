"""A PostgreSQL server of the tests' own, on a Unix socket only, in a folder that goes away with it."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tools.cluster.postgres import LocalPostgres, missing

MEMORY = Path("/dev/shm")
OPTIONS = {
    "max_connections": "60",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "max_wal_senders": "3",
    "autovacuum": "off",
}

_numbers = count(1)


class Postgres(LocalPostgres):
    """One server. `start` it first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, OPTIONS)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop all of the server's processes in their tracks for the block."""
        first = self.program.pid
        children = Path(f"/proc/{first}/task/{first}/children")
        if not children.exists():
            pytest.skip("stopping all of a server's processes needs Linux with /proc")
        pids = [first, *map(int, children.read_text().split())]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def create(self, template: str = "template0") -> str:
        """Make a database of its own; return its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def crash(self) -> None:
        """Stop the server at once, as if it had crashed."""
        self.stop(signal.SIGQUIT)

    def promote(self, sockets: Path) -> None:
        """Make a standby that is stopped a server of its own, with its socket elsewhere."""
        (self.data / "standby.signal").unlink()
        (self.data / "recovery.signal").touch()
        self.hand_over(self.data / "recovery.signal")
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write("primary_conninfo = ''\nrestore_command = 'false'\n")
        self.start(sockets)


@contextmanager
def running(*, in_memory: bool = True) -> Iterator[Postgres]:
    """A server for the block; where a disk is to be measured, not `in_memory`."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    parent = MEMORY if in_memory and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="hubbub-pg-", dir=parent) as folder:
        server = Postgres(Path(folder))
        server.initialise("-N")
        server.start()
        try:
            yield server
        finally:
            server.crash()


@contextmanager
def standby_of(primary: Postgres) -> Iterator[Postgres]:
    """A server that follows another one, for the block."""
    with tempfile.TemporaryDirectory(prefix="hubbub-pg-", dir=primary.folder.parent) as folder:
        server = Postgres(Path(folder))
        server.run(
            "pg_basebackup", "-h", primary.folder, "-U", "postgres", "-D", server.data, "-R", "-c", "fast"
        )
        server.start()
        try:
            yield server
        finally:
            server.crash()
