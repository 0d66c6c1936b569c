"""Migrations lead to the tables that the statements expect, and never half way."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hubbub.store.base import StoreUnusable
from hubbub.store.database import Database
from hubbub.store.migrate import current_revision, head_revision, migrate
from hubbub.store.schema import metadata
from hubbub.store.sqlite import SqliteStore
from tests.store.samples import NOW, room, say, session


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A database that is not open yet."""
    return Database(tmp_path / "hubbub.db")


def test_migrations_make_the_schema(database: Database) -> None:
    """What the revisions made, and what `schema.py` says, is the same."""
    database.open()
    with database.connect_writer() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert current_revision(connection) == head_revision()
        connection.rollback()
        assert migrate(connection) is False
    database.release()


def declarations(path: Path) -> dict[str, list[str]]:
    """The SQL of every table and index of a database, but for Alembic's own. Columns that came later stand
    behind a table's constraints.
    """
    raw = sqlite3.connect(path)
    rows = raw.execute("SELECT name, sql FROM sqlite_schema WHERE sql > ''").fetchall()
    raw.close()
    plain = {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version"}
    return {name: sorted(sql.rstrip(")").split(", ")) for name, sql in plain.items()}


def test_tables_are_declared_alike(database: Database) -> None:
    """The SQL of every table and index, as SQLAlchemy would make it, is what the revisions made."""
    database.open()
    database.release()
    plain = Database(database.path.with_name("plain.db"))
    with plain.connect_writer() as connection, connection.begin():
        metadata.create_all(connection)
    assert declarations(database.path) == declarations(plain.path)


async def test_a_newer_database_is_refused(database: Database) -> None:
    """A database that a newer program has changed is left alone."""
    store = await SqliteStore.open(database.path)
    await store.close()
    raw = sqlite3.connect(database.path)
    with raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreUnusable, match=r"made by a newer hubbub \(revision 9999"):
        await SqliteStore.open(database.path)


def test_a_migration_that_fails_leaves_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revision that breaks off has never been begun, and can be tried again."""
    monkeypatch.setattr("secrets.token_hex", lambda _: None)
    with pytest.raises(StoreUnusable):
        database.open()
    raw = sqlite3.connect(database.path)
    assert raw.execute("SELECT count(*) FROM sqlite_schema WHERE name <> 'alembic_version'").fetchone() == (
        0,
    )
    raw.close()
    monkeypatch.undo()
    database.open()
    database.release()


async def test_a_database_of_before(database: Database) -> None:
    """One without a tail, and with sessions of before, is brought up to date, and goes on where it was."""
    store = await SqliteStore.open(database.path)
    await room(store, "a", "ann")
    before = await say(store, "a", "ann", *"abc")
    await store.save_session(session("s", positions={"a": 2}))
    await store.close()
    with closing(sqlite3.connect(database.path)) as raw, raw:
        raw.execute("DROP TABLE tail")
        for column in ("last_told", "taken_at"):
            raw.execute(f"ALTER TABLE sessions DROP COLUMN {column}")
        raw.execute("UPDATE alembic_version SET version_num = '0002'")
    store = await SqliteStore.open(database.path)
    after = await say(store, "a", "ann", "d")
    assert await store.read("a", limit=10) == before + after
    assert [message.position for message in before + after] == [1, 2, 3, 4]
    assert await store.session("s", NOW) == session("s", positions={"a": 2})
    await store.close()
