"""A PostgreSQL server that fails: nobody waits for ever, nothing is half done, it resumes unaided."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import asyncpg
import pytest

from hubbub.store.base import Store, StoreUnavailable
from hubbub.store.postgres import PostgresStore, connections, pool
from hubbub.store.records import Appended
from tests import postgres
from tests.store.samples import NOW, message, people, room, say, session, user
from tests.store.wire import Wire

PATIENCE = 20.0


@pytest.fixture
async def wire(postgres_server: postgres.Postgres) -> AsyncIterator[Wire]:
    """A wire that can break."""
    with tempfile.TemporaryDirectory(prefix="hubbub-wire-") as folder:
        async with Wire(Path(folder), postgres_server.folder).open() as opened:
            yield opened


@pytest.fixture
async def wired(database_url: str, wire: Wire) -> AsyncIterator[PostgresStore]:
    """A store behind the wire, with a chat of two."""
    store = await PostgresStore.open(f"{database_url.partition('?')[0]}?host={wire.folder}")
    await room(store, "a", "ann", "bob")
    yield store
    await store.close()


async def sound(store: Store) -> list[str | None]:
    """What holds whatever has failed; returns the client message ids of chat a."""
    stored = await store.read("a", limit=1000)
    assert [m.seq for m in stored] == list(range(1, len(stored) + 1))
    assert await store.last_seqs(["a"]) == {"a": len(stored)}
    assert (await store.totals()).messages == len(stored)
    return [m.client_message_id for m in stored]


async def eventually(store: Store, key: str) -> float:
    """Send until it works; return how many seconds that took."""
    begun = monotonic()
    while True:
        try:
            await store.append(message("a", "ann", key, client_message_id=key))
            return monotonic() - begun
        except StoreUnavailable:
            assert monotonic() - begun < PATIENCE
            await asyncio.sleep(0.05)


async def _until(connection: "asyncpg.Connection", query: str) -> None:
    """Wait until a query has an answer that is true."""
    while not await connection.fetchval(query):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_connection_cut_at_the_commit(wired: PostgresStore, wire: Wire, when: str) -> None:
    """The server is asked what became of it: there is one message, and its sender is told so."""
    wire.cut = when  # type: ignore[assignment]  # one of the two
    answers = await asyncio.gather(*(wired.append(message("a", "ann", client_message_id=k)) for k in "xyz"))
    assert wire.cuts == 1
    assert [answer.message.seq for answer in answers] == [1, 2, 3]
    assert not any(answer.duplicate for answer in answers)
    assert await sound(wired) == ["x", "y", "z"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_that_nobody_can_ask_about(wired: PostgresStore, wire: Wire, when: str) -> None:
    """The sender is told that it failed, in time; sending again leaves one message either way."""
    wire.cut, wire.stays_down = when, True  # type: ignore[assignment]  # as above
    begun = monotonic()
    with pytest.raises(StoreUnavailable):
        await wired.append(message("a", "ann", "text", client_message_id="k"))
    assert monotonic() - begun < 2 * connections.OPERATION
    wire.mend()
    again = await wired.append(message("a", "ann", "text", client_message_id="k"))
    assert again.duplicate == (when == "after")
    assert await sound(wired) == ["k"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_other_changes_cut_at_the_commit(wired: PostgresStore, wire: Wire, when: str) -> None:
    """Users, members and sessions are changed once as well."""
    await people(wired, "cat")
    wire.cut = when  # type: ignore[assignment]  # as above
    await wired.create_user(user("new", username="new"), "hash")
    wire.cut = when  # type: ignore[assignment]  # as above
    assert await wired.add_member("a", "cat", "member", NOW) is True
    wire.cut = when  # type: ignore[assignment]  # as above
    await wired.save_session(session("s"))
    assert wire.cuts == 3
    assert await wired.count_users() == 4
    assert len(await wired.member_ids("a")) == 3


@pytest.fixture
def own_server() -> Iterator[postgres.Postgres]:
    """A server that a test may stop."""
    with postgres.running() as server:
        yield server


@pytest.fixture
async def alone(own_server: postgres.Postgres) -> AsyncIterator[PostgresStore]:
    """A store on a server of its own, with a chat of two."""
    store = await PostgresStore.open(own_server.url(own_server.create()))
    await room(store, "a", "ann", "bob")
    yield store
    await store.close()


async def test_the_server_crashes_and_comes_back(own_server: postgres.Postgres, alone: PostgresStore) -> None:
    """What was acknowledged is there; in between there are failures, in time; then it works, unaided."""
    acknowledged: list[str] = []
    stopping = asyncio.Event()

    async def send(author: str) -> None:
        number = 0
        while not stopping.is_set():
            key = f"{author}-{number}"
            try:
                await alone.append(message("a", author, key, client_message_id=key))
            except StoreUnavailable:
                await asyncio.sleep(0.01)
                continue
            acknowledged.append(key)
            number += 1

    senders = [asyncio.create_task(send(author)) for author in ("ann", "bob")]
    for _ in range(2):
        before = len(acknowledged)
        while len(acknowledged) < before + 50:
            await asyncio.wait(senders, timeout=0.01)
        await asyncio.to_thread(own_server.crash)
        begun = monotonic()
        with pytest.raises(StoreUnavailable):
            await alone.read("a", limit=1)
        with pytest.raises(StoreUnavailable):
            await alone.check()
        assert monotonic() - begun < 2 * connections.OPERATION
        await asyncio.to_thread(own_server.start)
        await eventually(alone, "again")
    stopping.set()
    await asyncio.gather(*senders)
    stored = await sound(alone)
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)


async def test_a_number_that_a_crash_gave_away_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server that crashes forgets transactions that left nothing on its disk, and others get their numbers:
    what one of these came to says nothing of the one before it.
    """
    monkeypatch.setattr(connections, "OPERATION", 60.0)
    with (
        postgres.folder_for_one() as folder,
        postgres.running_in(folder, {"wal_writer_delay": "10s"}) as server,
    ):
        name = server.create()
        async with Wire(tmp_path, server.folder).open() as wire:
            store = await PostgresStore.open(f"postgresql://postgres@/{name}?host={tmp_path}")
            await room(store, "a", "ann", "bob")
            wire.cut, wire.stays_down = "before", True
            sending = asyncio.ensure_future(store.append(message("a", "ann", "text", client_message_id="k")))
            while not wire.cuts:
                await asyncio.wait((sending,), timeout=0.01)
            await asyncio.to_thread(server.crash)
            await asyncio.to_thread(server.start)
            for _ in range(10):
                await asyncio.to_thread(server.sql, "SELECT pg_current_xact_id()", name)
            wire.mend()
            with pytest.raises(StoreUnavailable):
                await sending
            assert await sound(store) == []
            await eventually(store, "k")
            assert await sound(store) == ["k"]
            await store.close()


@pytest.mark.slow
async def test_a_server_that_hangs(own_server: postgres.Postgres, alone: PostgresStore) -> None:
    """Reads and writes fail within their deadline, however many wait; afterwards everything works again."""
    (kept,) = await say(alone, "a", "ann", "kept")
    with own_server.paused():
        begun = monotonic()
        answers = await asyncio.gather(
            *(alone.append(message("a", "ann", f"{n}", client_message_id=f"{n}")) for n in range(5)),
            alone.read("a", limit=1),
            alone.add_member("a", "bob", "admin", NOW),
            alone.save_session(session("s")),
            alone.check(),
            return_exceptions=True,
        )
        late = await asyncio.gather(alone.append(message("a", "ann")), return_exceptions=True)
        assert monotonic() - begun < 4 * connections.OPERATION
        assert [type(answer) for answer in (*answers, *late)] == [StoreUnavailable] * 10
    await eventually(alone, "k")
    stored = await sound(alone)
    assert await alone.message(kept.id) == kept
    assert stored.count("k") == 1


async def test_a_chat_that_somebody_keeps_locked(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends to it fail in time, those to others are not held up; they work when the lock is gone."""
    monkeypatch.setitem(pool._SESSION, "lock_timeout", "100ms")
    store = await PostgresStore.open(database_url)
    await room(store, "a", "ann")
    await room(store, "b", "bob")
    foreign = await asyncpg.connect(database_url)
    await foreign.execute("BEGIN")
    await foreign.execute("SELECT * FROM chats WHERE id = 'a' FOR UPDATE")
    held = store.append(message("a", "ann"))
    await _until(foreign, "SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(5):
        assert (await store.append(message("b", "bob"))).message.chat_id == "b"
    with pytest.raises(StoreUnavailable, match="lock"):
        await held
    held = store.append(message("a", "ann"))
    await foreign.execute("ROLLBACK")
    await foreign.close()
    assert (await held).message.seq == 1
    await store.close()


async def test_a_victim_of_a_deadlock_is_tried_again(database_url: str) -> None:
    """A foreign transaction that takes locks the other way round costs a batch nothing but time."""
    store = await PostgresStore.open(database_url)
    await room(store, "a", "ann")
    await room(store, "b", "ann")
    foreign = await asyncpg.connect(database_url)
    await foreign.execute("BEGIN; SET LOCAL deadlock_timeout = '10s'")
    await foreign.execute("SELECT * FROM chats WHERE id = 'b' FOR UPDATE")
    both = asyncio.gather(store.append(message("a", "ann")), store.append(message("b", "ann")))
    await _until(foreign, "SELECT count(*) FROM pg_locks WHERE NOT granted")
    await foreign.execute("SELECT * FROM chats WHERE id = 'a' FOR UPDATE")
    await foreign.execute("ROLLBACK")
    await foreign.close()
    assert [answer.message.seq for answer in await both] == [1, 1]
    await store.close()


async def test_sessions_that_the_server_ends(database_url: str, postgres_server: postgres.Postgres) -> None:
    """Connections that an administrator ends are replaced, unnoticed by callers."""
    store = await PostgresStore.open(database_url)
    await room(store, "a", "ann")
    for _ in range(5):
        await store.append(message("a", "ann"))
        postgres_server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hubbub'"
        )
        assert len(await store.read("a", limit=10)) > 0
    assert len(await store.read("a", limit=10)) == 5
    await store.close()


async def test_a_cancelled_caller_changes_all_or_nothing(database_url: str) -> None:
    """What was begun is finished; no connection is left in the middle of it."""
    store = await PostgresStore.open(database_url)
    await people(store, "ann", "bob")
    for number in range(30):
        creating = asyncio.create_task(store.create_user(user(f"new-{number}"), "hash"))
        for _ in range(number):
            await asyncio.sleep(0)
        creating.cancel()
        reading = asyncio.create_task(store.user("ann"))
        await asyncio.sleep(0)
        reading.cancel()
        found = await store.user("bob")
        assert found is not None
        assert found.id == "bob"
    await store.close()
    again = await PostgresStore.open(database_url)
    users = await again.list_users("", 100)
    assert len(users) == await again.count_users()
    await again.close()


async def test_a_cancelled_reader_costs_no_connection(database_url: str) -> None:
    """Clients can have reads given up as fast as they can send. The server of the database is not to begin
    and end a process for each.
    """
    store = await PostgresStore.open(database_url)
    await people(store, "ann")
    foreign = await asyncpg.connect(database_url)
    count = (
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'hubbub' AND datname = current_database()"
    )
    await asyncio.gather(*(store.user("ann") for _ in range(20)))
    before = await foreign.fetch(count)
    for turns in range(60):
        reading = asyncio.create_task(store.user("ann"))
        for _ in range(turns % 10):
            await asyncio.sleep(0)
        reading.cancel()
    assert await store.user("ann") is not None
    assert set(await foreign.fetch(count)) == set(before)
    await foreign.close()
    await store.close()


async def test_what_was_submitted_is_done_before_closing(database_url: str) -> None:
    """Closing waits for messages on their way, and refuses new ones."""
    store = await PostgresStore.open(database_url)
    await room(store, "a", "ann")
    sent = [store.append(message("a", "ann")) for _ in range(50)]
    await store.close()
    assert all(isinstance(one.result(), Appended) for one in sent)
    with pytest.raises(StoreUnavailable):
        await store.append(message("a", "ann"))
    with pytest.raises(StoreUnavailable):
        await store.read("a", limit=1)


async def test_failures_are_logged_once(
    own_server: postgres.Postgres, alone: PostgresStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is gone is one line, and one more when it can be used again."""
    caplog.set_level("INFO")
    await asyncio.to_thread(own_server.crash)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await alone.append(message("a", "ann"))
    await asyncio.to_thread(own_server.start)
    await eventually(alone, "k")
    told = [record.getMessage() for record in caplog.records if record.name.startswith("hubbub.store")]
    assert [line.partition(":")[0] for line in told] == [
        "the database cannot be used now",
        "the database can be used again",
    ]
    with pytest.raises(StoreUnavailable, match="a moment ago"):
        await alone.check()
