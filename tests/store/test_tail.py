"""The tail of the log: what is in it is in the log like all else, whatever happens before it is folded."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from hubbub.store import records, schema
from hubbub.store.audit import audit
from hubbub.store.backups import back_up, restore
from hubbub.store.base import ChatArchived, Conflict, NotMember, StoreUnavailable, Unstorable
from hubbub.store.sqlite import SqliteStore
from tests.store import faults
from tests.store.samples import NOW, ids, message, room, say, unread
from tests.store.test_durability import killed_run


def rows(path: Path, table: str) -> int:
    """How many messages are in a part of the log."""
    with closing(sqlite3.connect(path)) as raw:
        return int(raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def findings(path: Path) -> list[str]:
    """What the audit finds."""
    return audit(path, lambda *_: None).findings


def send(who: str, key: str, text: str = "text") -> records.NewMessage:
    """A message with a client id."""
    return message("a", who, text, client_message_id=key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of a test is."""
    return tmp_path / "hubbub.db"


@pytest.fixture
async def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    """A store with a chat of two, that folds often."""
    monkeypatch.setattr("hubbub.store.tail.LONGEST", 10)
    opened = await SqliteStore.open(path)
    await room(opened, "a", "ann", "bob")
    yield opened
    await opened.close()


def test_both_parts_have_the_same_columns() -> None:
    """Rows go from one table to the other as they are."""
    first, second = (
        [(column.name, str(column.type), column.nullable) for column in table.c]
        for table in (schema.messages, schema.tail)
    )
    assert first == second


async def test_everything_is_read_before_and_after_it_is_folded(store: SqliteStore, path: Path) -> None:
    """Each message is seen at once by every read, and folding changes nothing that is read."""
    sent: list[records.Message] = []
    tails = set()
    for number in range(1, 41):
        who, other = ("ann", "bob") if number % 3 else ("bob", "ann")
        new = message("a", who, f"{number}", created_at=NOW + number)
        sent.append((await store.append(new)).message)
        tails.add(rows(path, "tail"))
        assert await store.read("a", limit=100) == sent
        assert await store.read("a", after=number - 5, limit=3) == sent[max(0, number - 5) :][:3]
        assert await store.read("a", before=number, limit=12, newest=True) == sent[:-1][-12:]
        assert await store.message(new.id) == sent[-1]
        assert await store.last_position() == sent[-1].position
        assert await store.last_seqs(["a"]) == {"a": number}
        assert (await store.totals()).messages == number
        (row,) = await store.chats_of(other, 10, None)
        assert (row.last_message, row.chat.last_activity) == (sent[-1], NOW + number)
        assert await unread(store, "a", other) == sum(one.user_id == who for one in sent)
    assert tails == set(range(1, 11))
    assert findings(path) == []


async def test_receipts_of_what_is_in_the_tail(store: SqliteStore, path: Path) -> None:
    """A message is confirmed wherever it is, and its receipts go with it."""
    for _ in range(12):
        await say(store, "a", "bob", "own")
        last = await say(store, "a", "ann", "1", "2")
        assert [r.read_count for r in await store.confirm("a", "bob", ids(last), "read", NOW)] == [1, 1]
        assert await store.confirm("a", "bob", ids(last), "read", NOW) == []
        assert (await store.delivery_status(last[1])).read_by == ["bob"]
        assert (await store.delivery_status(last[1])).updated_at == NOW
        assert await unread(store, "a", "bob") == 0
        assert findings(path) == []
    assert (await store.totals()).read == 24
    rows_ = await store._read(lambda c: c.execute(schema.receipts.select()).all())
    assert [row.read for row in rows_] == ["1-36"]


async def test_rights_between_appends(store: SqliteStore, path: Path) -> None:
    """Leaving, archiving and coming back count from the next message on, and a new membership counts anew."""
    await asyncio.gather(*(store.append(send("bob", f"{n}")) for n in range(4)))
    await store.remove_member("a", "bob")
    with pytest.raises(NotMember):
        await store.append(send("bob", "5"))
    await say(store, "a", "ann", "alone")
    await store.add_member("a", "bob", "member", NOW)
    assert await unread(store, "a", "bob") == 0
    assert (await store.append(send("bob", "2"))).duplicate
    await say(store, "a", "bob", "back")
    await store.update_chat("a", name="a", description=None, archived_at=NOW)
    with pytest.raises(ChatArchived):
        await store.append(send("bob", "6"))
    assert (await store.append(send("bob", "3"))).message.seq == 4
    await store.update_chat("a", name="a", description=None, archived_at=None)
    assert [m.seq for m in await say(store, "a", "ann", *"xyz")] == [7, 8, 9]
    assert await unread(store, "a", "bob") == 3
    assert findings(path) == []
    assert 4 < rows(path, "tail") < 10
    await asyncio.gather(*(store.append(send("bob", f"more {n}")) for n in range(20)))
    await say(store, "a", "bob", "after a fold")
    assert rows(path, "tail") == 1
    assert await unread(store, "a", "bob") == 3
    assert findings(path) == []


async def test_client_ids_are_known_wherever_their_messages_are(store: SqliteStore, path: Path) -> None:
    """A repeated id is answered from the tail, from a tail of before a restart, and from behind it."""
    first = [(await store.append(send("ann", f"{n}"))).message for n in range(25)]
    assert 0 < rows(path, "tail") < 25
    for n in (0, 12, 24):
        assert (await store.append(send("ann", f"{n}"))).message == first[n]
        with pytest.raises(Conflict):
            await store.append(send("ann", f"{n}", "other"))
    assert (await store.last_seqs(["a"]))["a"] == 25


async def test_an_id_of_the_tail_is_not_used_twice(store: SqliteStore, path: Path) -> None:
    """Neither of a message in the tail nor of one before it; who is refused is refused alone."""
    first = await say(store, "a", "ann", *(f"{n}" for n in range(12)))
    for one in (first[0], first[-1]):
        answers = await asyncio.gather(
            store.append(send("bob", one.id)),
            store.append(message("a", "ann", id=one.id)),
            store.append(send("bob", one.id)),
            return_exceptions=True,
        )
        assert isinstance(answers[1], Unstorable)
        assert [answer.duplicate for answer in answers[::2] if isinstance(answer, records.Appended)] == [
            False,
            True,
        ]
    assert (await store.last_seqs(["a"]))["a"] == 14
    assert findings(path) == []


async def test_after_kill_9_the_tail_goes_on(path: Path) -> None:
    """A killed process leaves a tail: nothing is lost, numbers go on, ids are known; then it is folded."""
    acknowledged = await killed_run(path, 120)
    left = rows(path, "tail")
    assert left >= len(acknowledged) > 100
    assert findings(path) == []
    store = await SqliteStore.open(path)
    stored = await store.read("a", limit=10_000)
    assert [m.seq for m in stored] == list(range(1, len(stored) + 1))
    assert {seq: stored[seq - 1].client_message_id for seq in acknowledged} == acknowledged
    again = [
        message("a", m.user_id, m.content, id=f"again-{m.seq}", client_message_id=m.client_message_id)
        for m in stored
    ]
    answers = await asyncio.gather(*map(store.append, again))
    assert [(answer.message, answer.duplicate) for answer in answers] == [(m, True) for m in stored]
    (next_,) = await say(store, "a", "ann", "next")
    assert (next_.seq, next_.position) == (len(stored) + 1, stored[-1].position + 1)
    await store.close()
    assert (rows(path, "tail"), rows(path, "messages")) == (0, len(stored) + 1)
    assert findings(path) == []


async def test_positions_are_never_used_again(path: Path) -> None:
    """Not after folds, and not after restarts with and without a tail."""
    positions: list[int] = []
    for _ in range(3):
        store = await SqliteStore.open(path)
        if not positions:
            await room(store, "a", "ann")
        positions += [m.position for m in await say(store, "a", "ann", *"abc")]
        await store.close()
    assert positions == sorted(set(positions))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> faults.Faults:
    """Faults in every database call from now on, when armed."""
    found = faults.Faults(faults.disk_error)
    faults.install(monkeypatch, found)
    return found


async def test_a_fold_that_fails(broken: faults.Faults, store: SqliteStore, path: Path) -> None:
    """The batch that was to fold is refused, nothing is lost, reads go on, and the next batch folds."""
    kept = await say(store, "a", "ann", *(f"{n}" for n in range(10)))
    for nth in range(1, 60):
        broken.arm(nth)
        [answer] = await asyncio.gather(store.append(send("ann", f"{nth}")), return_exceptions=True)
        struck = broken.disarm()
        if isinstance(answer, StoreUnavailable):
            assert rows(path, "tail") == 10
            assert await store.read("a", limit=1000) == kept
            answer = await store.append(send("ann", f"{nth}"))
        assert isinstance(answer, records.Appended)
        kept.append(answer.message)
        assert await store.read("a", limit=1000) == kept
        assert rows(path, "tail") == 1
        if not struck:
            break
        kept += await say(store, "a", "ann", *(f"{n}" for n in range(9)))
    assert nth > 10
    assert findings(path) == []


async def test_reading_does_not_need_a_disk_that_can_be_written(store: SqliteStore, path: Path) -> None:
    """A tail is read while another program holds the database locked."""
    sent = await say(store, "a", "ann", *"abc")
    with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        assert rows(path, "tail") == 3
        assert await store.read("a", limit=10) == sent
        assert [row.last_message for row in await store.chats_of("bob", 10, None)] == [sent[-1]]
        foreign.execute("ROLLBACK")


async def test_a_backup_with_a_tail(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    """It is whole: sound for the audit, and put back it has all messages and goes on behind them."""
    sent = await say(store, "a", "ann", *(f"{n}" for n in range(14)))
    backup = tmp_path / "backup.db"
    await asyncio.to_thread(back_up, path, backup, lambda *_: None)
    assert rows(backup, "tail") == 4
    assert findings(backup) == []
    copy = tmp_path / "copy" / "hubbub.db"
    copy.parent.mkdir()
    restore(copy, backup, lambda *_: None)
    restored = await SqliteStore.open(copy)
    assert await restored.read("a", limit=100) == sent
    assert (await say(restored, "a", "bob", "next"))[0].seq == 15
    await restored.close()
    assert rows(copy, "messages") == 15


async def test_what_the_audit_finds_in_a_tail(store: SqliteStore, path: Path) -> None:
    """A tail that could not be folded is a fault."""
    for n in range(12):
        await store.append(send("ann", f"{n}"))
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE tail SET client_message_id = '0' WHERE seq = 12")
        raw.execute("UPDATE tail SET id = (SELECT id FROM messages WHERE seq = 1) WHERE seq = 11")
    assert findings(path) == ["messages in the tail with the id or client id of another: 2"]
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE tail SET id = 'x', position = 1 WHERE seq = 11")
        raw.execute("UPDATE tail SET client_message_id = '11' WHERE seq = 12")
    assert "the tail begins with position 1, but those up to 10 are given already" in findings(path)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE tail SET position = 11 WHERE seq = 11")
