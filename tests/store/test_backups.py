"""Backups: whole, made beside a server, put back under a new epoch, and nothing lost when one is refused."""

import asyncio
import os
import resource
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from hubbub.store import records
from hubbub.store.audit import audit
from hubbub.store.backups import back_up, restore
from hubbub.store.base import StoreUnusable
from hubbub.store.sqlite import SqliteStore
from tests.store.samples import NOW, room, say, session


def silent(_what: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""


def names(folder: Path) -> set[str]:
    """The files in a folder."""
    return {path.name for path in folder.iterdir()}


def read(path: Path) -> bytes:
    """What is in a file."""
    return path.read_bytes()


def write(path: Path, what: bytes) -> None:
    """Make or replace a file."""
    path.write_bytes(what)


def mode(path: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


def content(path: Path) -> list[str]:
    """The messages in a database, by SQLite alone."""
    log = "SELECT position, content FROM messages UNION ALL SELECT position, content FROM tail ORDER BY 1"
    with closing(sqlite3.connect(path)) as raw:
        return [text for _, text in raw.execute(log)]


def spoil(path: Path) -> None:
    """Overwrite the last pages of a database with rubbish."""
    with path.open("r+b") as file:
        file.seek(-3 * 4096, os.SEEK_END)
        file.write(os.urandom(3 * 4096))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of a test is."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "hubbub.db"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Where a backup goes."""
    return tmp_path / "backup.db"


async def filled(path: Path, *contents: str) -> SqliteStore:
    """An open store with a chat of two and these messages."""
    store = await SqliteStore.open(path)
    await room(store, "a", "ann", "bob")
    await say(store, "a", "ann", *contents)
    return store


async def test_a_backup_beside_a_busy_server(
    monkeypatch: pytest.MonkeyPatch, path: Path, backup: Path
) -> None:
    """Messages are committed between any two steps, and the backup is of one moment, whole, its owner's."""
    store = await filled(path, *(f"{n}" for n in range(200)))
    monkeypatch.setattr("hubbub.store.backups._PAGES", 2)
    loop = asyncio.get_running_loop()
    steps = 0

    def write(what: str, _done: int, _total: int | None) -> None:
        nonlocal steps
        if what == "copying":
            steps += 1
            asyncio.run_coroutine_threadsafe(say(store, "a", "ann", "more"), loop).result(10)

    await asyncio.to_thread(back_up, path, backup, write)
    assert steps > 5
    assert len(content(path)) == 200 + steps
    assert content(backup) == [f"{n}" for n in range(200)]
    assert mode(backup) == 0o600
    assert names(backup.parent) == {"data", "backup.db"}
    await store.close()
    assert audit(path, silent).findings == audit(backup, silent).findings == []


async def test_a_server_goes_on_after_a_backup(path: Path, backup: Path) -> None:
    """The write-ahead log is begun anew as ever once the backup is done, and closing leaves one file."""
    store = await filled(path, "before")
    await asyncio.to_thread(back_up, path, backup, silent)
    await say(store, "a", "ann", "after")
    await store.close()
    assert names(path.parent) == {"hubbub.db", "hubbub.db.lock"}
    assert content(path) == ["before", "after"]


async def test_a_backup_after_a_crash(path: Path, backup: Path) -> None:
    """What a killed server has left in its write-ahead log is in the backup."""
    store = await filled(path, "in the log only")
    crashed = backup.with_name("crashed.db")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    await store.close()
    back_up(crashed, backup, silent)
    assert content(backup) == ["in the log only"]


async def test_backups_that_cannot_be_made(path: Path, backup: Path, tmp_path: Path) -> None:
    """Each is refused in one line, leaves no file behind, and takes nothing away."""
    store = await filled(path, *("x" * 3000 for _ in range(40)))
    await store.close()
    write(backup, b"somebody's")
    for target, words in (
        (backup, "exists already"),
        (path, "exists already"),
        (tmp_path / "nowhere" / "b.db", "b.db cannot be written: No such file or directory"),
    ):
        with pytest.raises(StoreUnusable, match=words):
            back_up(path, target, silent)
    assert read(backup) == b"somebody's"
    with pytest.raises(StoreUnusable, match="there is no database at"):
        back_up(tmp_path / "none.db", tmp_path / "b.db", silent)
    spoil(path)
    with pytest.raises(StoreUnusable, match="is damaged, so it was not backed up"):
        back_up(path, tmp_path / "b.db", silent)
    assert names(tmp_path) == {"data", "backup.db"}


async def test_a_full_disk(path: Path, backup: Path) -> None:
    """A copy that does not fit is refused with the reason, and is gone."""
    store = await filled(path, *("x" * 4000 for _ in range(50)))
    await store.close()
    resource_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, resource_limits[1]))
    try:
        with pytest.raises(StoreUnusable, match="the copy cannot be written"):
            back_up(path, backup, silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, resource_limits)
    assert names(backup.parent) == {"data"}


async def put_aside(path: Path, backup: Path) -> None:
    """A backup of two messages, and a database that has one more since, of another session."""
    store = await filled(path, "1", "2")
    await store.save_session(session("s", token_hash=b"t", positions={"a": 2}))
    await asyncio.to_thread(back_up, path, backup, silent)
    await say(store, "a", "ann", "lost")
    await store.save_session(session("later", positions={"a": 3}))
    await store.close()


async def test_restoring(path: Path, backup: Path) -> None:
    """The backup is back under another epoch, the database before is kept whole beside it."""
    await put_aside(path, backup)
    store = await SqliteStore.open(path)
    before = await store.epoch()
    await store.close()
    kept = restore(path, backup, silent)
    assert kept is not None
    assert names(path.parent) == {"hubbub.db", "hubbub.db.lock", kept.name}
    assert content(kept) == ["1", "2", "lost"]
    assert mode(path) == 0o600
    store = await SqliteStore.open(path)
    assert await store.epoch() != before
    assert [m.content for m in await store.read("a", limit=10)] == ["1", "2"]
    assert [m.seq for m in await say(store, "a", "ann", "new")] == [3]
    await store.close()
    assert audit(path, silent).findings == []
    assert content(backup) == ["1", "2"]


async def test_sessions_of_another_history(path: Path, backup: Path) -> None:
    """Recovery sessions are still good after a restore, but know no place in any chat."""
    await put_aside(path, backup)
    restore(path, backup, silent)
    store = await SqliteStore.open(path)
    found = await store.session("s", NOW)
    assert found is not None
    assert (found.token_hash, found.positions) == (b"t", {"a": records.VOID})
    assert await store.session("later", NOW) is None
    await store.close()


async def test_restoring_over_a_crash(path: Path, backup: Path) -> None:
    """The last commits of a killed server go with the database that is replaced, not into the new one."""
    await put_aside(path, backup)
    store = await SqliteStore.open(path)
    await say(store, "a", "ann", "in the log only")
    copies = [path.with_name(f"copy{suffix}") for suffix in ("", "-wal")]
    for copy, suffix in zip(copies, ("", "-wal"), strict=True):
        shutil.copy(f"{path}{suffix}", copy)
    await store.close()
    for copy, suffix in zip(copies, ("", "-wal"), strict=True):
        copy.replace(f"{path}{suffix}")
    kept = restore(path, backup, silent)
    assert kept is not None
    assert content(path) == ["1", "2"]
    assert content(kept) == ["1", "2", "lost", "in the log only"]


async def test_restoring_over_rubbish(path: Path, backup: Path) -> None:
    """A file that is no database any more is kept as it is."""
    await put_aside(path, backup)
    write(path, b"rubbish" * 1000)
    kept = restore(path, backup, silent)
    assert kept is not None
    assert read(kept) == b"rubbish" * 1000
    assert content(path) == ["1", "2"]


async def test_restoring_over_what_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch, path: Path, backup: Path
) -> None:
    """A database that cannot be opened is kept with the log beside it, which may hold its last commits."""
    await put_aside(path, backup)
    log = path.with_name("hubbub.db-wal")
    write(log, b"log")

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("hubbub.store.backups.Database.open_writer", fail)
    kept = restore(path, backup, silent)
    assert kept is not None
    assert read(kept.with_name(f"{kept.name}-wal")) == b"log"
    assert names(path.parent) == {"hubbub.db", "hubbub.db.lock", kept.name, f"{kept.name}-wal"}
    assert content(path) == ["1", "2"]


async def test_restoring_on_a_new_machine(path: Path, backup: Path, tmp_path: Path) -> None:
    """Where there is no database, there is nothing to keep."""
    await put_aside(path, backup)
    new = tmp_path / "hubbub.db"
    assert restore(new, backup, silent) is None
    assert content(new) == ["1", "2"]


async def test_restores_that_are_refused(path: Path, backup: Path, tmp_path: Path) -> None:
    """A running server, and a file that is no whole backup, are told in one line; nothing has changed."""
    await put_aside(path, backup)
    state = read(path)
    refusals = {
        path: "is the database itself",
        tmp_path / "none": "there is no database at",
        tmp_path / "text": "is not a database",
        tmp_path / "foreign": "is a database of another program",
        tmp_path / "newer": "made by a newer hubbub",
        tmp_path / "torn": "is damaged",
        tmp_path / "orphans": "is damaged: table members: 2 rows refer to chats that are not there",
    }
    prepare(tmp_path, backup)
    for source, words in refusals.items():
        with pytest.raises(StoreUnusable, match=words):
            restore(path, source, silent)
    assert read(path) == state
    assert names(path.parent) == {"hubbub.db", "hubbub.db.lock"}
    store = await SqliteStore.open(path)
    with pytest.raises(StoreUnusable, match="in use by another hubbub server: stop that one first"):
        restore(path, backup, silent)
    await store.close()


def prepare(folder: Path, backup: Path) -> None:
    """Files that are no backups."""
    (folder / "text").write_text("a shopping list\n" * 500)
    with closing(sqlite3.connect(folder / "foreign")) as raw:
        raw.execute("CREATE TABLE t (x)")
    for name, statement in (
        ("newer", "UPDATE alembic_version SET version_num = '9999'"),
        ("orphans", "DELETE FROM chats"),
    ):
        shutil.copy(backup, folder / name)
        with closing(sqlite3.connect(folder / name)) as raw, raw:
            raw.execute(statement)
    shutil.copy(backup, folder / "torn")
    spoil(folder / "torn")


async def test_a_full_disk_when_restoring(path: Path, backup: Path) -> None:
    """A backup that does not fit leaves the database as it was."""
    store = await filled(path, *("x" * 4000 for _ in range(50)))
    await store.close()
    back_up(path, backup, silent)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limits[1]))
    try:
        with pytest.raises(StoreUnusable, match="the copy cannot be written"):
            restore(path, backup, silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(content(path)) == 50
    assert names(path.parent) == {"hubbub.db", "hubbub.db.lock"}


@pytest.mark.parametrize("step", ["copying", "epoch", "aside", "rename"])
async def test_dying_while_restoring(
    monkeypatch: pytest.MonkeyPatch, path: Path, backup: Path, step: str
) -> None:
    """Wherever a restore breaks off, there is a whole database: the one before, or the backup."""
    await put_aside(path, backup)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    places = {
        "copying": "_copy",
        "epoch": "_begin_history",
        "aside": "_put_aside",
        "rename": "Path.replace",
    }
    monkeypatch.setattr(f"hubbub.store.backups.{places[step]}", die)
    with pytest.raises(KeyboardInterrupt):
        restore(path, backup, silent)
    monkeypatch.undo()
    assert content(path) == ["1", "2", "lost"]
    assert not [name for name in names(path.parent) if "part" in name]
    kept = restore(path, backup, silent)
    assert kept is not None
    assert content(path) == ["1", "2"]
