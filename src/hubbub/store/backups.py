"""Backups of a SQLite database: made while a server runs, put back while none does (docs/decisions/0011).

    back_up: one state of the database -> FILE.….part -> looked over -> FILE
    restore: FILE looked over -> copied beside the database -> a new epoch -> the two change places

Either file is whole or not there, whenever the process dies.
"""

import os
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hubbub.store.base import StoreUnusable
from hubbub.store.database import Database
from hubbub.store.queries import history
from hubbub.store.snapshot import Progress, damage, snapshot

_PAGES: Final = 2000
"""Pages copied between two reports of progress."""


def back_up(path: Path, target: Path, progress: Progress) -> None:
    """Copy a database as it is now to a new file, for its owner only; a server may go on writing.

    Raises `StoreUnusable`, and then there is no such file.
    """
    if target.exists():
        raise StoreUnusable(f"{target} exists already: name another file")
    with _new_file(target) as part:
        with snapshot(path) as source:
            _copy(source, part, progress)
        with snapshot(part) as copy:
            found = damage(copy, progress, quickly=True)
        if found:
            raise StoreUnusable(f"{path} is damaged, so it was not backed up: {found[0]}")
        part.rename(target)


def restore(path: Path, source: Path, progress: Progress) -> Path | None:
    """Put a backup in a database's place, under a new epoch; return where the one before is kept, if any.

    Raises `StoreUnusable` when a server runs or the backup is not whole; then nothing has changed.
    """
    path = path.resolve()
    if source.exists() and path.exists() and source.samefile(path):
        raise StoreUnusable(f"{source} is the database itself: name a backup of it")
    database = Database(path)
    with _locked(database), _new_file(path) as part:
        with snapshot(source) as backup:
            found = damage(backup, progress)
            if found:
                raise StoreUnusable(f"{source} is damaged: {found[0]}")
            _copy(backup, part, progress)
        _begin_history(part)
        return _change_places(database, part)


@contextmanager
def _locked(database: Database) -> Iterator[None]:
    try:
        database.lock()
    except OSError as error:
        raise StoreUnusable(f"{database.path.parent} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        database.release()


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """An empty file beside where it is to be, for its owner only; gone after the block unless renamed."""
    try:
        handle, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise StoreUnusable(f"{target} cannot be written: {error.strerror}") from error
    part = Path(name)
    try:
        yield part
        _sync(target.parent)
    except OSError as error:
        raise StoreUnusable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        for left in (part, Path(f"{part}-journal")):
            left.unlink(missing_ok=True)


def _copy(source: sqlite3.Connection, part: Path, progress: Progress) -> None:
    """Copy every page of a snapshot, to the disk and as one file that nothing else belongs to."""

    def step(_status: int, remaining: int, total: int) -> None:
        progress("copying", total - remaining, total)

    try:
        with closing(sqlite3.connect(part)) as copy:
            source.backup(copy, pages=_PAGES, progress=step)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise StoreUnusable(f"the copy cannot be written to {part.parent}: {error}") from error


def _begin_history(part: Path) -> None:
    """Give a copy an epoch of its own: what clients remember of the numbers in it means nothing any more."""
    with closing(sqlite3.connect(part)) as copy, copy:
        copy.execute(history.SET_EPOCH, (secrets.token_hex(16),))
        copy.execute(history.VOID_POSITIONS)


def _change_places(database: Database, part: Path) -> Path | None:
    path, kept = database.path, None
    if path.exists():
        kept = path.with_name(f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        _put_aside(database, kept)
    part.replace(path)
    return kept


def _put_aside(database: Database, kept: Path) -> None:
    """Keep a database under another name too, with all that was committed."""
    path = database.path
    # A server that was killed has left its last commits in the write-ahead log. The last connection to close
    # copies them into the database; what cannot be opened keeps its log beside it.
    with suppress(sqlite3.Error), closing(database.open_writer()) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").rename(kept.with_name(f"{kept.name}-wal"))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    kept.hardlink_to(path)


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
