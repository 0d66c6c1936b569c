"""What keeps the statements fast: few of them, with indexes, over rows that stay small."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects import sqlite as dialect

from hubbub.store import schema
from hubbub.store.bulk import Bulk
from hubbub.store.database import Database
from hubbub.store.queries import append, arrivals, chats, confirm, log, sessions, users
from hubbub.store.sqlite import SqliteStore
from tests.store import faults
from tests.store.samples import NOW, ids, message, room, say, session, user

MODULES = (append, arrivals, chats, confirm, log, sessions, users)
BULKS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, Bulk)
}
SELECTS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, Select) and not name.startswith("_")
}
RENDERED = {"render_postcompile": True}
# One row; the last row; and an operator's list, for which every send would pay with a page of an index.
WHOLE = {"log.TOTALS", "log.LAST_POSITION", "chats.ALL_CHATS", "chats.ALL_CHATS_BEFORE"}
# The rows of the statement itself; and tables that refer to users, for a check that is planned but not made.
GIVEN = re.compile(r"SCAN (k|own|found|(\d+ )?CONSTANT ROWS?|sessions|receipts|refresh_tokens)$")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A connection to empty tables."""
    database = Database(tmp_path / "plans.db")
    database.open()
    with database.connect_writer() as opened:
        yield opened
    database.release()


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Connection]:
    """A connection that reads them."""
    database = Database(tmp_path / "plans.db")
    database.open()
    with database.connect_reader() as opened:
        yield opened
    database.release()


def scanned(connection: Connection, statement: str, values: int) -> list[str]:
    """The tables that a statement reads from end to end, as SQLite plans it."""
    cursor = connection.connection.cursor()
    plan = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * values).fetchall()
    cursor.close()
    steps = [row[3] for row in plan]
    return [step for step in steps if step.startswith("SCAN") and not GIVEN.match(step)]


@pytest.mark.parametrize("name", BULKS)
def test_bulk_statements_use_indexes(connection: Connection, name: str) -> None:
    """A statement over many rows finds each by an index, at every length."""
    for text in BULKS[name]._texts.values():
        assert scanned(connection, text, text.count("?")) == []


@pytest.mark.parametrize("name", sorted(set(SELECTS) - WHOLE))
def test_reads_use_indexes(reading: Connection, name: str) -> None:
    """No read goes through a whole table."""
    values = {
        name: ["a", "b"] if name in {"chat_ids", "positions"} else 0
        for name in SELECTS[name].compile().params
    }
    text = str(SELECTS[name].params(values).compile(dialect=dialect.dialect(), compile_kwargs=RENDERED))
    assert scanned(reading, text, text.count("?")) == []


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> faults.Faults:
    """Counts the calls to the database."""
    found = faults.Faults(faults.disk_error)
    faults.install(monkeypatch, found)
    return found


async def test_a_batch_costs_a_dozen_calls(counted: faults.Faults, tmp_path: Path) -> None:
    """However many operations a batch holds, the writing thread asks the database equally often."""
    store = await SqliteStore.open(tmp_path / "hubbub.db")
    for chat in "abcd":
        await room(store, chat, "ann", "bob")
    for size in (1, 200):
        counted.arm(0)
        sent = await asyncio.gather(
            *(
                store.append(message("abcd"[n % 4], "ann", client_message_id=f"{size}-{n}"))
                for n in range(size)
            )
        )
        assert counted.calls <= 10
        counted.arm(0)
        await asyncio.gather(
            *(store.confirm(s.message.chat_id, "bob", [s.message.id], "read", NOW) for s in sent)
        )
        assert counted.calls <= 11
        counted.arm(0)
        await asyncio.gather(*(store.save_session(session(f"{n}")) for n in range(size)))
        assert counted.calls <= 4
        counted.arm(0)
        await asyncio.gather(*(store.set_last_seen("ann", NOW + n) for n in range(size)))
        assert counted.calls <= 4
    await store.close()


async def test_a_storm_of_arrivals_is_a_few_statements(counted: faults.Faults, tmp_path: Path) -> None:
    """Users who come together are looked up together, as are their contacts, and new ones are stored so."""
    store = await SqliteStore.open(tmp_path / "hubbub.db")
    storm = [user(f"{n}") for n in range(100)]
    counted.arm(0)
    await asyncio.gather(*map(store.ensure_user, storm))
    assert counted.calls <= 5
    counted.arm(0)
    assert await asyncio.gather(*(store.user(one.id) for one in storm)) == storm
    assert counted.calls == 1
    counted.arm(0)
    assert await asyncio.gather(*(store.contacts(one.id) for one in storm)) == [{one.id} for one in storm]
    assert counted.calls == 1
    await store.close()


async def test_a_conversation_leaves_short_ranges(sqlite: SqliteStore) -> None:
    """Own messages do not cut what a member has read into pieces, however long the turns."""
    await room(sqlite, "a", "ann", "bob")
    for turn in range(1, 39):
        await say(sqlite, "a", "ann", *("word" for _ in range(turn % 4)))
        heard = await say(sqlite, "a", "bob", *("word" for _ in range(turn % 3)))
        if heard:
            await sqlite.confirm("a", "ann", ids(heard), "read", NOW)
    rows = await sqlite._read(
        lambda c: c.execute(select(schema.receipts.c.delivered, schema.receipts.c.read)).all()
    )
    last = (await sqlite.last_seqs(["a"]))["a"]
    assert [tuple(row) for row in rows] == [(f"1-{last}", f"1-{last}")]


async def test_a_member_who_only_receives_keeps_short_ranges(sqlite: SqliteStore) -> None:
    """A client that confirms deliveries and never reads leaves nothing behind in the other set."""
    await room(sqlite, "a", "ann", "bob")
    for _ in range(10):
        await say(sqlite, "a", "ann", "own")
        heard = await say(sqlite, "a", "bob", "heard")
        await sqlite.confirm("a", "ann", ids(heard), "delivered", NOW)
    rows = await sqlite._read(
        lambda c: c.execute(select(schema.receipts.c.delivered, schema.receipts.c.read)).all()
    )
    assert [tuple(row) for row in rows] == [("1-20", "")]
