"""A PostgreSQL server of the tests' own, on a Unix socket only, in a folder that goes away with it."""

import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tools.cluster.postgres import LocalPostgres, missing
from tools.cluster.program import START, Failure

MEMORY = Path("/dev/shm")
OPTIONS = {
    "max_connections": "60",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "max_wal_senders": "3",
    "autovacuum": "off",
}

TIGHT = {"min_wal_size": "32MB", "max_wal_size": "64MB"}
"""Options of a server on a small disk."""

_numbers = count(1)


class Postgres(LocalPostgres):
    """One server. `start` it first."""

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, {**OPTIONS, **(options or {})})

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

    def run_out_of_log(self) -> None:
        """Have a server whose disk is full write to its log until it cannot, which is its end."""
        with suppress(Failure):
            while True:
                self.sql("SELECT pg_logical_emit_message(false, 'tests', repeat('x', 1000000))")
        self.program.wait(START)

    def promote(self, sockets: Path) -> None:
        """Make a standby that is stopped a server of its own, with its socket elsewhere."""
        (self.data / "standby.signal").unlink()
        (self.data / "recovery.signal").touch()
        self.hand_over(self.data / "recovery.signal")
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write("primary_conninfo = ''\nrestore_command = 'false'\n")
        self.start(sockets)


@contextmanager
def folder_for_one(*, in_memory: bool = True) -> Iterator[Path]:
    """A folder that a server may have for the block, in memory where that can be."""
    parent = MEMORY if in_memory and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="hubbub-pg-", dir=parent) as folder:
        yield Path(folder)


@contextmanager
def running_in(folder: Path, options: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """A server for the block, with its files in an empty folder."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    server = Postgres(folder, options)
    server.initialise("-N")
    server.start()
    try:
        yield server
    finally:
        server.crash()


@contextmanager
def running(*, in_memory: bool = True) -> Iterator[Postgres]:
    """A server for the block; where a disk is to be measured, not `in_memory`."""
    with folder_for_one(in_memory=in_memory) as folder, running_in(folder) as server:
        yield server


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
