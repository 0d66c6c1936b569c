"""A look at a database from beside: one state of it, while a server goes on (docs/decisions/0011).

The connection can only read and cannot checkpoint, so it breaks no rule of the one writer, in whichever
process it is. As long as it is open, the server's write-ahead log grows and cannot be begun anew.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from hubbub.store.base import StoreUnusable
from hubbub.store.database import APPLICATION_ID, OWNER, Database
from hubbub.store.migrate import head_revision, is_known

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and how much there is (None: nobody knows)."""

_PROBLEMS: Final = {"not a database": "is not a database", "malformed": "is damaged"}
_STEPS: Final = 100_000
_REVISION: Final = "SELECT max(version_num) FROM alembic_version"
_HEADING: Final = "*** in database"


@contextmanager
def snapshot(path: Path, *, this_version: bool = False) -> Iterator[sqlite3.Connection]:
    """Hold one state of a hubbub database, for reading, until the block ends.

    Raises `StoreUnusable` when the file is no hubbub database, cannot be read, is one of a newer hubbub, or,
    with `this_version`, one that is still to be migrated; also for what SQLite has to say within the block.
    """
    if not path.is_file():
        raise StoreUnusable(f"there is no database at {path}")
    try:
        with closing(Database(path).open_reader()) as raw:
            raw.execute("BEGIN")
            owner, tables = raw.execute(OWNER).fetchone()
            if owner != APPLICATION_ID or not tables:
                raise StoreUnusable(f"{path} is a database of another program")
            _check_revision(path, raw.execute(_REVISION).fetchone()[0], this_version=this_version)
            yield raw
    except sqlite3.Error as error:
        problem = next((words for sign, words in _PROBLEMS.items() if sign in str(error)), None)
        raise StoreUnusable(f"{path} {problem or f'cannot be read: {error}'}") from error


def _check_revision(path: Path, revision: str, *, this_version: bool) -> None:
    if not is_known(revision):
        raise StoreUnusable(f"{path} was made by a newer hubbub (revision {revision}): use that version")
    if this_version and revision != head_revision():
        raise StoreUnusable(f"{path} is of an older hubbub (revision {revision}): run `hubbub migrate` first")


def damage(raw: sqlite3.Connection, progress: Progress, *, quickly: bool = False) -> list[str]:
    """Return what SQLite itself finds wrong with a file, at most 100 lines: pages, indexes, foreign keys.

    `quickly` leaves out whether indexes and tables agree, and foreign keys, which a copy cannot spoil.
    """
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        progress("looking for damage", steps, None)
        return 0

    step()
    raw.set_progress_handler(step, _STEPS)
    try:
        rows = raw.execute("PRAGMA quick_check" if quickly else "PRAGMA integrity_check").fetchall()
        found = [line for (told,) in rows for line in told.splitlines() if not line.startswith(_HEADING)]
        if found != ["ok"] or quickly:
            return [] if found == ["ok"] else found
        return _orphans(raw)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        return [str(error)]
    finally:
        raw.set_progress_handler(None, 0)


def _orphans(raw: sqlite3.Connection) -> list[str]:
    """Rows that refer to others which are not there, counted by tables."""
    counts: dict[tuple[str, str], int] = {}
    for table, _, parent, _ in raw.execute("PRAGMA foreign_key_check"):
        counts[table, parent] = counts.get((table, parent), 0) + 1
    return [
        f"table {table}: {count} rows refer to {parent} that are not there"
        for (table, parent), count in counts.items()
    ]
