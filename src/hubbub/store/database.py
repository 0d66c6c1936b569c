"""The SQLite file: who may use it, how it is opened, what is said when it cannot be.

One process uses a file at a time, held by a lock on `<file>.lock`, and in it exactly one connection writes
and checkpoints: SQLite before 3.51.3 can damage a database when several connections checkpoint
(docs/decisions/0002). The reading connections can do neither, so other processes may have some, too
(`snapshot`).
"""

import fcntl
import os
import sqlite3
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from hubbub.store.base import StoreUnusable
from hubbub.store.migrate import migrate
from hubbub.store.tail import WHOLE_LOG

APPLICATION_ID: Final = 0x68756262
"""Marks a SQLite file as hubbub's ("hubb"), in its header."""

LOOK: Final = 0.5
"""Seconds to look for damage when a database is opened; `hubbub check` looks at all of it."""

BUSY_TIMEOUT: Final = 2000
"""Milliseconds to wait for a lock that a foreign program (a backup tool, a shell) holds."""

CHECKPOINT_PAGES: Final = 8000
"""Pages of the write-ahead log (4 KiB each) after which a commit copies them into the database."""

WRITING: Final = f"""
PRAGMA busy_timeout = {BUSY_TIMEOUT};
PRAGMA foreign_keys = ON;
PRAGMA synchronous = FULL;
PRAGMA cache_size = -65536;
PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
"""
READING: Final = f"""
PRAGMA busy_timeout = {BUSY_TIMEOUT};
PRAGMA temp_store = MEMORY;
{WHOLE_LOG}
PRAGMA query_only = ON;
PRAGMA wal_autocheckpoint = 0;
"""
OWNER: Final = "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id"
REMEDIES: Final = {
    "full": "cannot be written, its disk is full: make room",
    "not a database": "is not a database: move the file away, or name another data directory",
    "malformed": "is damaged: restore a backup",
    "readonly": "cannot be written: mind the owner and the permissions of the file and its directory",
    "unable to open": "cannot be opened: mind the owner and the permissions of the file and its directory",
    "locked": "is locked by another program: close that one first",
}
"""What to say for a word in SQLite's own message."""


class Database:
    """A SQLite file that this process alone uses, from `open` to `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._writers = create_engine("sqlite://", creator=self.open_writer, poolclass=NullPool)
        self._readers = create_engine("sqlite://", creator=self.open_reader, poolclass=NullPool)
        event.listen(self._writers, "begin", _begin)

    def open(self) -> None:
        """Take the file, make or migrate its tables. Raises `StoreUnusable`, then the file is free again."""
        try:
            self.lock()
            self._prepare()
        except StoreUnusable:
            self.release()
            raise
        except DBAPIError as error:
            self.release()
            raise unusable(self.path, error.orig or error) from error
        except (OSError, sqlite3.Error) as error:
            self.release()
            raise unusable(self.path, error) from error

    def release(self) -> None:
        """Let others use the file. All connections must be closed."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def connect_writer(self) -> Connection:
        """Open the writing connection; there must be no other."""
        return self._writers.connect()

    def connect_reader(self) -> Connection:
        """Open a connection that can only read."""
        return self._readers.connect()

    def lock(self) -> None:
        """Take the file, and nothing more, until `release`. Raises `StoreUnusable` when a server has it.

        What is locked is a file beside the database: a lock on the database would fight with SQLite's own.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreUnusable(
                f"{self.path} is in use by another hubbub server: "
                "stop that one first, or name another data directory"
            ) from error

    def _prepare(self) -> None:
        # SQLite would make it readable for everybody, and its other files with the same permissions.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._look_for_damage()
        with self.connect_writer() as connection:
            cursor = connection.connection.cursor()
            self._mark(cursor)
            cursor.close()
            migrate(connection)

    def _look_for_damage(self) -> None:
        """Check as much of the file as `LOOK` seconds allow: a damaged one is told best at the start."""
        connection = self.open_writer()
        until = monotonic() + LOOK
        connection.set_progress_handler(lambda: monotonic() > until, 10_000)
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        else:
            if found != "ok":
                raise sqlite3.DatabaseError("malformed")
        finally:
            connection.close()

    def _mark(self, cursor: DBAPICursor) -> None:
        """Make the file hubbub's own and switch its write-ahead log on, unless it is somebody else's."""
        owner, tables = cursor.execute(OWNER).fetchone()
        if tables and owner != APPLICATION_ID:
            raise StoreUnusable(
                f"{self.path} is a database of another program: name another data directory or database"
            )
        mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreUnusable(
                f"{self.path} cannot use SQLite's write-ahead log (journal mode {mode}): "
                "put the data directory on a local disk"
            )
        cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def open_writer(self) -> sqlite3.Connection:
        """Open the writing connection, without SQLAlchemy; there must be no other."""
        return self._connect("rwc", WRITING)

    def open_reader(self) -> sqlite3.Connection:
        """Open a connection that can only read, without SQLAlchemy."""
        return self._connect("ro", READING)

    def _connect(self, mode: str, pragmas: str) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path))}?mode={mode}"
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            connection.executescript(pragmas)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def unusable(path: Path, error: BaseException) -> StoreUnusable:
    """Say in one line which file it is about, what is wrong with it and what to do."""
    told = str(error)
    if isinstance(error, OSError):
        told = f"{path} cannot be written ({error.strerror})"
        return StoreUnusable(f"{told}: name a data directory that can be")
    for word, remedy in REMEDIES.items():
        if word in told:
            return StoreUnusable(f"{path} {remedy}")
    return StoreUnusable(f"{path} cannot be opened: {told}")


def _begin(connection: Connection) -> None:
    """Take the write lock when the transaction begins, since it cannot be waited for later."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
