"""Opening a SQLite database: who may, and what is said when it cannot be."""

import errno
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from hubbub.store.base import StoreUnusable
from hubbub.store.sqlite import SqliteStore
from tests.store.samples import message, room, say


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of a test is."""
    return tmp_path / "data" / "hubbub.db"


def mode(path: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


def files(directory: Path) -> list[str]:
    """The names of all files in a directory."""
    return sorted(file.name for file in directory.iterdir())


def size(path: Path) -> int:
    """The length of a file in bytes."""
    return path.stat().st_size


def link(alias: Path, path: Path) -> None:
    """Give a file a second name."""
    alias.symlink_to(path)


def write(path: Path, text: str) -> str:
    """Make a file, and its directory where needed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return text


def read(path: Path) -> str:
    """What is in a file."""
    return path.read_text()


def spoil(path: Path, first: int, pages: int) -> None:
    """Overwrite pages of a database with rubbish."""
    with path.open("r+b") as file:
        file.seek(first * 4096)
        file.write(os.urandom(4096 * pages))


async def refusal(path: Path) -> str:
    """Why a database cannot be opened: one line that names the file, and leaves nothing locked."""
    with pytest.raises(StoreUnusable) as refused:
        await SqliteStore.open(path)
    told = str(refused.value)
    assert "\n" not in told
    assert path.name in told
    return told


async def test_the_directory_is_made_and_nobody_else_can_read_it(path: Path) -> None:
    """A new database and its directory are for their owner only; messages are nobody's business."""
    store = await SqliteStore.open(path)
    await room(store, "a", "ann")
    assert mode(path.parent) == 0o700
    assert {name: mode(path.with_name(name)) for name in files(path.parent)} == dict.fromkeys(
        ("hubbub.db", "hubbub.db-shm", "hubbub.db-wal", "hubbub.db.lock"), 0o600
    )
    await store.close()


async def test_closing_leaves_one_file(path: Path) -> None:
    """After a clean end the write-ahead log is in the database."""
    store = await SqliteStore.open(path)
    await room(store, "a", "ann")
    await say(store, "a", "ann", "hello")
    await store.close()
    assert files(path.parent) == ["hubbub.db", "hubbub.db.lock"]


async def test_a_second_server_is_refused(path: Path) -> None:
    """A file is used by one server at a time, whatever its name, and is free when that one ends."""
    store = await SqliteStore.open(path)
    alias = path.parent / "alias.db"
    link(alias, path)
    assert "is in use by another hubbub server" in await refusal(path)
    with pytest.raises(StoreUnusable, match="in use"):
        await SqliteStore.open(alias)
    await store.close()
    store = await SqliteStore.open(path)
    await store.close()


async def test_a_file_that_is_no_database(path: Path) -> None:
    """Somebody's notes are not overwritten."""
    notes = write(path, "a shopping list, long enough to be looked at as a database header\n" * 50)
    assert "is not a database" in await refusal(path)
    assert read(path) == notes


async def test_a_database_of_another_program(path: Path) -> None:
    """Somebody's database is not touched."""
    write(path, "")
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE users (name)")
    foreign.close()
    assert "database of another program" in await refusal(path)
    foreign = sqlite3.connect(path)
    assert foreign.execute("SELECT name FROM sqlite_schema").fetchall() == [("users",)]
    assert foreign.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    foreign.close()


async def test_a_damaged_database(path: Path) -> None:
    """Pages of rubbish are found before the server serves them."""
    store = await SqliteStore.open(path)
    await room(store, "a", "ann")
    await say(store, "a", "ann", *("x" * 3000 for _ in range(40)))
    await store.close()
    spoil(path, 2, size(path) // 4096 - 2)
    assert "is damaged: restore a backup" in await refusal(path)


async def test_damage_that_nobody_has_stumbled_over_yet(path: Path) -> None:
    """One spoilt page amid the messages is found, although opening the database does not need it."""
    store = await SqliteStore.open(path)
    await room(store, "a", "ann")
    await say(store, "a", "ann", *("x" * 3000 for _ in range(40)))
    await store.close()
    spoil(path, size(path) // 4096 - 5, 1)
    assert "is damaged: restore a backup" in await refusal(path)


async def test_a_truncated_database(path: Path) -> None:
    """A file that was cut off is told as damaged."""
    store = await SqliteStore.open(path)
    await room(store, "a", "ann")
    await say(store, "a", "ann", *("x" * 3000 for _ in range(40)))
    await store.close()
    os.truncate(path, size(path) // 2)
    assert "is damaged: restore a backup" in await refusal(path)


async def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A path below a file, and one that is a directory, are refused with what is wrong."""
    write(tmp_path / "file", "")
    assert "cannot be written" in await refusal(tmp_path / "file" / "hubbub.db")
    write(tmp_path / "directory.db" / "file", "")
    assert "cannot be written (Is a directory)" in await refusal(tmp_path / "directory.db")


async def test_missing_permission(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Missing permission is told as such."""

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("hubbub.store.database.os.open", refuse)
    assert "cannot be written (Permission denied)" in await refusal(path)


async def test_reading_connections_cannot_write(path: Path) -> None:
    """Only one connection of the process is able to change or to checkpoint the database."""
    store = await SqliteStore.open(path)
    for statement in ("DELETE FROM users", "CREATE TABLE t (x)"):
        with store._database.connect_reader() as connection:
            cursor = connection.connection.cursor()
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                cursor.execute(statement)
            assert cursor.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
    await store.close()


async def test_commits_are_durable_by_configuration(path: Path) -> None:
    """The writing connection syncs each commit to disk, in write-ahead mode, with foreign keys on."""
    store = await SqliteStore.open(path)
    await store.close()
    store._database.open()
    with store._database.connect_writer() as connection:
        cursor = connection.connection.cursor()
        settings = ("journal_mode", "synchronous", "foreign_keys")
        assert [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in settings] == ["wal", 2, 1]
    store._database.release()


async def test_unusual_paths(tmp_path: Path) -> None:
    """A path with characters that mean something in an address is still just a path."""
    path = tmp_path / "100% größe?mode=memory#x" / "a b&c.db"
    store = await SqliteStore.open(path)
    await room(store, "a", "ann")
    await store.append(message("a", "ann"))
    await store.close()
    assert size(path) > 0
