"""The audit finds what is wrong in a database, says it in a line, and has nothing to say of a sound one."""

import asyncio
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hubbub.store import records
from hubbub.store.audit import Report, audit
from hubbub.store.base import StoreUnusable
from hubbub.store.snapshot import Progress
from hubbub.store.sqlite import SqliteStore
from tests.store.samples import NOW, chat, member, message, people, room, say, session


def silent(_what: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""


def look(path: Path, progress: Progress = silent) -> Report:
    """The report on a database."""
    return audit(path, progress)


def spoil(path: Path, *statements: str) -> None:
    """Change a database behind everybody's back."""
    with closing(sqlite3.connect(path)) as raw, raw:
        for statement in statements:
            assert raw.execute(statement).rowcount > 0 or statement.startswith("PRAGMA"), statement


def redefine(path: Path, before: str, after: str) -> None:
    """Change what an index says it holds, and not what it holds."""
    change = (
        f"UPDATE sqlite_schema SET sql = replace(sql, '{before}', '{after}') WHERE name LIKE '%client_id'"
    )
    spoil(path, "PRAGMA writable_schema = ON", change)


def overwrite(path: Path, page: int) -> None:
    """Put rubbish in place of a page, counted from the end."""
    with path.open("r+b") as file:
        file.seek(page * 4096, os.SEEK_END)
        file.write(os.urandom(4096))


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A sound database: a chat of two with messages and receipts, one without messages, a session."""
    path = tmp_path / "hubbub.db"
    store = await SqliteStore.open(path)
    await room(store, "a", "ann", "bob")
    await store.create_chat(chat("empty"), [member("empty", "ann")])
    sent = await say(store, "a", "ann", "1", "2", "3")
    await say(store, "a", "bob", "4")
    await store.confirm("a", "bob", [sent[0].id, sent[1].id], "read", NOW)
    await store.save_session(session("s", positions={"a": 2, "empty": records.VOID}))
    await store.close()
    return path


def test_a_sound_database(path: Path) -> None:
    """Nothing is found, and the audit leaves the database as it was."""
    before = path.read_bytes()
    assert look(path) == Report(chats=2, messages=4, findings=[])
    assert path.read_bytes() == before


async def test_a_database_with_a_past(tmp_path: Path) -> None:
    """Whatever users do in whatever order, what is kept twice agrees: members come back, receipts overlap."""
    rng = random.Random(7)
    path = tmp_path / "hubbub.db"
    store = await SqliteStore.open(path)
    users = ["ann", "bob", "cid", "dan"]
    await people(store, *users)
    for name in ("a", "b"):
        await store.create_chat(chat(name), [member(name, "ann")])
    sent: dict[str, list[str]] = {"a": [], "b": []}
    for number in range(600):
        where, who = rng.choice("ab"), rng.choice(users)
        match rng.randrange(8):
            case 0:
                await store.add_member(where, who, "user", NOW)
            case 1 if rng.random() < 0.3:
                await store.remove_member(where, who)
            case 2 | 3 if sent[where]:
                some = rng.sample(sent[where], min(len(sent[where]), rng.randrange(1, 6)))
                kind = rng.choice(("delivered", "read"))
                await asyncio.gather(store.confirm(where, who, some, kind, NOW), return_exceptions=True)  # type: ignore[arg-type]  # one of the two
            case _:
                new = message(where, who, f"{number}", created_at=NOW + number)
                [answer] = await asyncio.gather(store.append(new), return_exceptions=True)
                if not isinstance(answer, BaseException):
                    sent[where].append(answer.message.id)
    await store.close()
    report = look(path)
    assert report.messages == len(sent["a"]) + len(sent["b"]) > 100
    assert report.findings == []


FAULTS = {
    "a number is missing": (
        ["DELETE FROM messages WHERE seq = 3", "UPDATE counters SET messages = 3"],
        ["chat a: 1 number is missing, the first is 3", "chat a: user ann has sent_count 3, but sent 2"],
    ),
    "a number too high": (
        ["UPDATE messages SET seq = 9 WHERE seq = 4", "UPDATE chats SET last_seq = 9 WHERE id = 'a'"],
        ["chat a: 5 numbers are missing, the first is 4"],
    ),
    "two messages out of order": (
        ["UPDATE messages SET position = position + 7 WHERE seq = 1", "UPDATE sqlite_sequence SET seq = 20"],
        ["chat a: 1 message is out of order among all chats', the first is 2"],
    ),
    "last_seq": (
        ["UPDATE chats SET last_seq = 5 WHERE id = 'a'"],
        ["chat a: last_seq is 5, but the newest message has 4"],
    ),
    "last_activity": (
        ["UPDATE chats SET last_activity = 1 WHERE id = 'a'"],
        [f"chat a: last_activity is 1, but should be {NOW}"],
    ),
    "member_count": (
        ["UPDATE chats SET member_count = 3 WHERE id = 'a'"],
        ["chat a: member_count is 3, but there are 2 members"],
    ),
    "joined_seq": (
        ["UPDATE members SET joined_seq = 5 WHERE user_id = 'bob'", "UPDATE members SET sent_count = 0"],
        ["chat a: user bob joined behind message 5, the newest is 4"],
    ),
    "sent_count": (
        ["UPDATE members SET sent_count = 2 WHERE user_id = 'ann' AND chat_id = 'a'"],
        ["chat a: user ann has sent_count 2, but sent 3"],
    ),
    "covered_count": (
        ["UPDATE members SET covered_count = 1 WHERE user_id = 'bob'"],
        ["chat a: user bob has covered_count 1, not 0"],
    ),
    "receipts of the future": (
        ["UPDATE receipts SET delivered = '1-5'"],
        ["chat a: delivered receipts of user bob are for messages 1 to 5, the newest is 4"],
    ),
    "malformed receipts": (
        ["UPDATE receipts SET read = '1-2,x'"],
        ["chat a: read receipts of user bob are malformed: '1-2,x'"],
    ),
    "receipts in disorder": (
        ["UPDATE receipts SET read = '2,1'"],
        ["chat a: read receipts of user bob are no ranges in order: '2,1'"],
    ),
    "read, not delivered": (
        ["UPDATE receipts SET delivered = '1'", "UPDATE messages SET delivered_count = 0 WHERE seq = 2"],
        ["chat a: user bob has read messages that were not delivered", "totals: 2 delivered receipts, but"],
    ),
    "a message's count": (
        ["UPDATE messages SET read_count = 2 WHERE seq IN (2, 3)"],
        ["chat a: 2 messages are counted with a wrong number of read receipts, the first is 2"],
    ),
    "totals": (
        ["UPDATE counters SET users = 9, messages = 8, delivered = 7, read = 6"],
        [
            "totals: 9 users, but there are 2",
            "totals: 8 messages, but there are 4",
            "totals: 7 delivered receipts, but there are 2",
            "totals: 6 read receipts, but there are 2",
        ],
    ),
    "positions given again": (
        ["UPDATE sqlite_sequence SET seq = 2"],
        ["totals: the newest message has position 4, but those up to 2 are given only"],
    ),
    "a position of the future": (
        ["""UPDATE sessions SET positions = '{"a": 5}'"""],
        ["user ann: a recovery session is at message 5 of chat a, whose newest is 4"],
    ),
    "a position in no chat": (
        ["""UPDATE sessions SET positions = '{"b": 0}'"""],
        ["user ann: a recovery session is in chat b, which is not there"],
    ),
    "malformed positions": (
        ["UPDATE sessions SET positions = '[]'"],
        ["user ann: a recovery session has malformed positions"],
    ),
    "no epoch": (
        ["UPDATE meta SET value = '' WHERE name = 'epoch'"],
        ["the name of this history, `epoch`, is missing"],
    ),
    "an orphan": (
        ["DELETE FROM users WHERE id = 'bob'", "UPDATE counters SET users = 1"],
        ["table members: 1 rows refer to users that are not there"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(path: Path, fault: str) -> None:
    """Each kind of fault is a line that says where it is, what is there and what there should be."""
    statements, expected = FAULTS[fault]
    spoil(path, *statements)
    findings = look(path).findings
    for one in expected:
        assert any(found.startswith(one) for found in findings), findings
    assert all("\n" not in found for found in findings)


async def test_damage(path: Path) -> None:
    """A spoilt page is told in SQLite's words, and nothing that follows from it."""
    store = await SqliteStore.open(path)
    await say(store, "a", "ann", *("x" * 3000 for _ in range(40)))
    await store.close()
    overwrite(path, -5)
    report = look(path)
    assert report.findings
    assert not any(found.startswith(("chat", "totals")) for found in report.findings)


def test_an_index_that_lacks_a_row(path: Path) -> None:
    """So is an index that does not agree with its table."""
    redefine(path, "WHERE client", "WHERE seq > 1 AND client")
    spoil(path, "UPDATE messages SET client_message_id = 'x' || seq")
    redefine(path, "WHERE seq > 1 AND client", "WHERE client")
    assert look(path).findings[0] == "row 1 missing from index messages_client_id"


async def test_beside_a_server(path: Path) -> None:
    """A store in full use is looked at as it was at one moment, and does not notice."""
    store = await SqliteStore.open(path)
    written = 0

    async def write() -> None:
        nonlocal written
        while not looking.done():
            await say(store, "a", "ann", "more")
            written += 1

    looking = asyncio.ensure_future(asyncio.to_thread(look, path))
    await write()
    report = await looking
    assert report.findings == []
    assert 4 <= report.messages <= 4 + written
    await store.close()


def test_progress(path: Path) -> None:
    """Whoever watches is told what is done, and of how much."""
    told: list[tuple[str, int, int | None]] = []
    look(path, lambda *progress: told.append(progress))
    assert told[0] == ("looking for damage", 1, None)
    assert told[-1] == ("looking through the chats", 4, 4)


def test_what_is_no_database_of_this_version(path: Path, tmp_path: Path) -> None:
    """Other files are refused in one line."""
    with pytest.raises(StoreUnusable, match="there is no database at"):
        look(tmp_path / "nothing.db")
    (tmp_path / "notes").write_text("a shopping list\n" * 100)
    with pytest.raises(StoreUnusable, match=r"is not a database$"):
        look(tmp_path / "notes")
    spoil(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusable, match="made by a newer hubbub"):
        look(path)
