"""A database that fails: nothing is half done, the next send works, reads go on."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hubbub.store.base import Conflict, StoreUnavailable
from hubbub.store.sqlite import SqliteStore
from hubbub.store.transactions import call
from tests.store import faults
from tests.store.samples import NOW, ids, message, room, say, session, unread, user


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> faults.Faults:
    """Faults in every database call from now on, when armed."""
    found = faults.Faults(faults.disk_error)
    faults.install(monkeypatch, found)
    return found


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has failed and works again is no reason to worry."""
    monkeypatch.setattr("hubbub.store.transactions.SHAKEN", 0.0)


@pytest.fixture
async def store(broken: faults.Faults, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store that can be broken, with a chat of two."""
    opened = await SqliteStore.open(tmp_path / "hubbub.db")
    await room(opened, "a", "ann", "bob")
    yield opened
    await opened.close()


async def sound(store: SqliteStore) -> None:
    """What holds whatever has failed: numbers are dense, counts agree, foreign keys hold."""
    stored = await store.read("a", limit=1000)
    assert [m.seq for m in stored] == list(range(1, len(stored) + 1))
    assert await store.last_seqs(["a"]) == {"a": len(stored)}
    assert (await store.totals()).messages == len(stored)
    others = [m for m in stored if m.user_id != "bob"]
    read = sum([len((await store.delivery_status(m)).read_by) for m in others])
    assert await unread(store, "a", "bob") == len(others) - read
    assert (await store.totals()).read == read
    await store.check()


Deed = Callable[[SqliteStore, int], Awaitable[object]]
DEEDS: dict[str, Deed] = {
    "append": lambda store, n: asyncio.gather(
        *(store.append(message("a", who, f"{n}", client_message_id=f"{n}")) for who in ("ann", "bob", "ann"))
    ),
    "confirm": lambda store, _: store.confirm("a", "bob", ["seen"], "read", NOW),
    "create": lambda store, n: store.create_user(user(f"new-{n}"), "hash"),
    "ensure": lambda store, n: store.ensure_user(user(f"new-{n}")),
    "join": lambda store, _: store.add_member("a", "bob", "moderator", NOW),
    "session": lambda store, n: store.save_session(session("s", positions={"a": n})),
    "read": lambda store, _: store.chats_of("ann", 10, None),
}


@pytest.mark.parametrize("deed", DEEDS)
async def test_failing_the_nth_call(store: SqliteStore, broken: faults.Faults, deed: str) -> None:
    """Each database call fails once: the caller is told, nothing is left behind, the next try works."""
    await store.append(message("a", "ann", id="seen"))
    for nth in range(1, 60):
        broken.arm(nth)
        try:
            await DEEDS[deed](store, nth)
            failed = False
        except StoreUnavailable:
            failed = True
        struck = broken.disarm()
        await sound(store)
        if not struck:
            assert not failed
            assert nth > 1
            break
        if failed:
            await DEEDS[deed](store, nth)
            await sound(store)
    else:
        pytest.fail("the database is called without end")


async def test_a_failed_send_is_never_seen_and_its_retry_is_one_message(
    store: SqliteStore, broken: faults.Faults
) -> None:
    """Whichever call fails, sending until it works leaves one message for each client message id."""
    for nth in range(1, 12):
        broken.arm(nth)
        while True:
            try:
                await store.append(message("a", "ann", "text", client_message_id=f"{nth}"))
                break
            except StoreUnavailable:
                assert len(await store.read("a", limit=100)) == nth - 1
        broken.disarm()
        stored = [m.client_message_id for m in await store.read("a", limit=100)]
        assert stored == [f"{n}" for n in range(1, nth + 1)]


async def test_a_failure_fails_its_whole_batch(store: SqliteStore, broken: faults.Faults) -> None:
    """What gathered for one transaction is refused together, whatever it was."""
    (before,) = await say(store, "a", "ann", "before")
    broken.arm(10)
    answers = await asyncio.gather(
        store.append(message("a", "ann")),
        store.confirm("a", "bob", [before.id], "read", NOW),
        store.save_session(session("s")),
        return_exceptions=True,
    )
    assert broken.disarm()
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    assert await store.read("a", limit=10) == [before]
    assert (await store.delivery_status(before)).read_by == []
    assert await store.session("s", NOW) is None
    await sound(store)


async def test_a_refusal_and_a_batch_share_a_transaction(store: SqliteStore) -> None:
    """A conflict in one operation does not disturb the sends that are committed with it."""
    await store.create_user(user("1", username="zoe"), "hash")
    answers = await asyncio.gather(
        store.append(message("a", "ann", "one")),
        store.create_user(user("2", username="ZOE"), "hash"),
        store.create_user(user("3", username="yan"), "hash"),
        store.append(message("a", "ann", "two")),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers].count(Conflict) == 1
    assert [m.content for m in await store.read("a", limit=10)] == ["one", "two"]
    assert await store.user("3") is not None
    await sound(store)


async def test_a_full_disk(store: SqliteStore) -> None:
    """Sends are refused with a reason and reads go on; when there is room again, so do sends."""

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    (kept,) = await say(store, "a", "ann", "kept")
    await store._commit.submit(call, fill)
    with pytest.raises(StoreUnavailable, match="full"):
        await asyncio.gather(*(store.append(message("a", "ann", "x" * 4000)) for _ in range(20)))
    assert ids(await store.read("a", limit=10)) == [kept.id]
    await say(store, "a", "ann", "again")
    await sound(store)


async def test_a_foreign_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that holds the database locked makes sends fail, not hang; they work when it is gone."""
    monkeypatch.setattr(
        "hubbub.store.database.WRITING", "PRAGMA busy_timeout = 20; PRAGMA foreign_keys = ON;"
    )
    store = await SqliteStore.open(tmp_path / "hubbub.db")
    await room(store, "a", "ann", "bob")
    foreign = sqlite3.connect(tmp_path / "hubbub.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.append(message("a", "ann"))
    with pytest.raises(StoreUnavailable):
        await store.check()
    assert await store.read("a", limit=10) == []
    foreign.execute("ROLLBACK")
    foreign.close()
    await say(store, "a", "ann", "again")
    await sound(store)
    await store.close()


async def test_failures_are_logged_once(
    store: SqliteStore, broken: faults.Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that stays broken is one line, and one more when it works again."""
    caplog.set_level("INFO")
    for _ in range(3):
        broken.arm(1)
        with pytest.raises(StoreUnavailable):
            await store.append(message("a", "ann"))
    broken.disarm()
    await say(store, "a", "ann", "again")
    told = [record.getMessage() for record in caplog.records if record.name.startswith("hubbub.store")]
    assert told == ["the database cannot be used now: disk I/O error", "the database can be used again"]
    assert not any(record.exc_info for record in caplog.records)


async def test_a_failure_counts_for_a_while(
    store: SqliteStore, broken: faults.Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed write the store is not called sound at once because a small write succeeds."""
    monkeypatch.setattr("hubbub.store.transactions.SHAKEN", 0.3)
    await store.check()
    broken.arm(1)
    with pytest.raises(StoreUnavailable):
        await store.append(message("a", "ann"))
    broken.disarm()
    with pytest.raises(StoreUnavailable, match="a moment ago"):
        await store.check()
    while True:
        try:
            await store.check()
            break
        except StoreUnavailable:
            await asyncio.sleep(0.02)
