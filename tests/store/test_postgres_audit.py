"""The audit of a PostgreSQL database finds what that of a file finds; and statements use indexes there."""

import re

import asyncpg
import pytest

from hubbub.store.audit import Report
from hubbub.store.postgres import PostgresStore, append, audit, chats, confirm, log, sessions, users
from hubbub.store.postgres.selecting import Selection
from hubbub.store.records import VOID
from tests.store.samples import NOW, chat, member, room, say, session


def silent(_what: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""


@pytest.fixture
async def url(database_url: str) -> str:
    """A sound database: a chat of two with messages and receipts, one without messages, a session."""
    store = await PostgresStore.open(database_url)
    await room(store, "a", "ann", "bob")
    await store.create_chat(chat("empty"), [member("empty", "ann")])
    sent = await say(store, "a", "ann", "1", "2", "3")
    await say(store, "a", "bob", "4")
    await store.confirm("a", "bob", [sent[0].id, sent[1].id], "read", NOW)
    await store.save_session(session("s", positions={"a": 2, "empty": VOID}))
    await store.close()
    return database_url


async def test_a_sound_database(url: str) -> None:
    """Nothing is found."""
    assert await audit(url, silent) == Report(chats=2, messages=4, findings=[])


@pytest.mark.parametrize(
    ("spoiling", "finding"),
    [
        ("DELETE FROM messages WHERE seq = 3", "chat a: 1 number is missing, the first is 3"),
        ("UPDATE messages SET position = position + 9 WHERE seq = 1", "chat a: 1 message is out of order"),
        (
            "UPDATE chats SET last_seq = 5 WHERE id = 'a'",
            "chat a: last_seq is 5, but the newest message has 4",
        ),
        ("UPDATE members SET sent_count = 2 WHERE user_id = 'ann' AND chat_id = 'a'", "has sent_count 2"),
        (
            "UPDATE receipts SET delivered = '1-5'",
            "chat a: delivered receipts of user bob are for messages 1 to 5",
        ),
        ("UPDATE messages SET read_count = 2 WHERE seq = 3", "wrong number of read receipts, the first is 3"),
        ("UPDATE counters SET users = users + 1 WHERE id = 3", "totals: 3 users, but there are 2"),
        ("SELECT setval('messages_position_seq', 2)", "those up to 2 are given only"),
        ("""UPDATE sessions SET positions = '{"a": 5}'""", "is at message 5 of chat a, whose newest is 4"),
        ("DELETE FROM meta WHERE name = 'epoch'", "the name of this history, `epoch`, is missing"),
    ],
)
async def test_findings(url: str, spoiling: str, finding: str) -> None:
    """Each fault is told."""
    raw = await asyncpg.connect(url)
    await raw.execute(spoiling)
    await raw.close()
    assert any(finding in line for line in (await audit(url, silent)).findings)


STATEMENTS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value.text if isinstance(value, Selection) else value
    for module in (append, chats, confirm, log, sessions, users)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str | Selection)
}
# A few rows; an operator's list, for which every send would pay with a page of an index; a new password.
WHOLE = {"log.TOTALS", "users.COUNTED", "chats.ALL_CHATS", "chats.ALL_CHATS_BEFORE", "users.DROP_TOKENS"}


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - WHOLE))
async def test_statements_use_indexes(database_url: str, name: str) -> None:
    """No statement reads a table from end to end, whatever its parameters are."""
    raw = await asyncpg.connect(database_url)
    await raw.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
    # The planner is not to be misled by tables that are empty.
    statement = await raw.prepare(STATEMENTS[name])
    marks = ", ".join(["NULL"] * len(statement.get_parameters()))
    await raw.execute(f"PREPARE asked AS {STATEMENTS[name]}")
    plan = [row[0] for row in await raw.fetch(f"EXPLAIN EXECUTE asked{f'({marks})' if marks else ''}")]
    await raw.close()
    assert not [line for line in plan if re.search(r"Seq Scan on (?!counters)", line)], plan
