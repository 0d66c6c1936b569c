"""The epoch changes when messages may have been lost or replaced, and only then."""

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from hubbub.store.base import Store, StoreUnavailable
from hubbub.store.postgres import PostgresStore
from hubbub.store.records import VOID
from tests import postgres
from tests.store.samples import NOW, message, room, say, session


def name_of(url: str) -> str:
    """The name of a test's database."""
    return url.split("/")[3].partition("?")[0]


async def reopened(url: str) -> tuple[str, dict[str, int]]:
    """The epoch and a session's positions as a new start finds them."""
    store = await PostgresStore.open(url)
    found = await store.session("s", NOW)
    assert found is not None
    epoch = await store.epoch()
    await store.close()
    return epoch, found.positions


@pytest.fixture
async def epoch(database_url: str) -> str:
    """The epoch of a database with a chat, a message and a session."""
    store = await PostgresStore.open(database_url)
    await room(store, "a", "ann")
    await say(store, "a", "ann", "hello")
    await store.save_session(session("s", positions={"a": 1}))
    epoch = await store.epoch()
    await store.close()
    return epoch


async def test_a_restart_changes_nothing(database_url: str, epoch: str) -> None:
    """However often it is opened."""
    for _ in range(3):
        assert await reopened(database_url) == (epoch, {"a": 1})


async def test_a_dump_that_is_put_back(
    postgres_server: postgres.Postgres, database_url: str, epoch: str
) -> None:
    """Into the same database or another one: the history is a new one, and sessions know no place in it."""
    dump = postgres_server.folder / "dump"
    host = ("-h", str(postgres_server.folder), "-U", "postgres")
    postgres_server.run("pg_dump", *host, "-Fc", "-f", dump, name_of(database_url))
    postgres_server.run("pg_restore", *host, "--clean", "-d", name_of(database_url), dump)
    again, positions = await reopened(database_url)
    assert again != epoch
    assert positions == {"a": VOID}
    assert await reopened(database_url) == (again, {"a": VOID})
    other = postgres_server.create()
    postgres_server.run("pg_restore", *host, "-d", other, dump)
    assert (await reopened(postgres_server.url(other)))[0] not in {epoch, again}


async def test_the_operators_word(postgres_server: postgres.Postgres, database_url: str, epoch: str) -> None:
    """The statement in docs/operations.md gives the history a new name at the next start."""
    postgres_server.sql("UPDATE meta SET value = 'restored' WHERE name = 'place'", name_of(database_url))
    again, positions = await reopened(database_url)
    assert again != epoch
    assert positions == {"a": VOID}


async def test_a_tail_that_is_gone(postgres_server: postgres.Postgres, database_url: str, epoch: str) -> None:
    """A node that has seen more committed than is there says so to all, once, and every node agrees."""
    stores = [await PostgresStore.open(database_url) for _ in range(3)]
    told: list[tuple[int, str]] = []
    for number, store in enumerate(stores):
        store.on_new_epoch(partial(_note, told, number))
    await say(stores[1], "a", "ann", "two", "three")
    postgres_server.sql(
        "DELETE FROM messages WHERE seq = 3; UPDATE chats SET last_seq = 2;"
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hubbub'",
        name_of(database_url),
    )
    await asyncio.gather(*(say(store, "a", "ann", "four") for store in reversed(stores)))
    await _known_to_all(stores)
    epochs = {await store.epoch() for store in stores}
    assert len(epochs) == 1
    assert epoch not in epochs
    await asyncio.gather(*(store.close() for store in stores))
    assert {new for _, new in told} == epochs
    assert (await reopened(database_url))[0] in epochs


def _note(told: list[tuple[int, str]], number: int, epoch: str) -> None:
    told.append((number, epoch))


async def _known_to_all(stores: list[PostgresStore]) -> None:
    """Have every node open a connection once more: it may have been the first to look."""
    for store in stores:
        for connections in (store._readers, store._writers):
            await asyncio.gather(
                *(connections.read(lambda c: c.fetchval("SELECT pg_sleep(0.05)")) for _ in range(4))
            )


@pytest.fixture
def primary() -> Iterator[postgres.Postgres]:
    """A server that a standby can follow."""
    with postgres.running() as server:
        yield server


@pytest.mark.slow
async def test_a_failover_that_loses_the_tail(primary: postgres.Postgres) -> None:
    """A standby takes over that has not got everything: a node that finds it has a new epoch."""
    name = primary.create()
    store: Store = await PostgresStore.open(primary.url(name))
    await room(store, "a", "ann")
    await say(store, "a", "ann", "kept")
    before = await store.epoch()
    with postgres.standby_of(primary) as standby:
        with pytest.raises(Exception, match="standby"):
            await PostgresStore.open(standby.url(name))
        while standby.sql("SELECT count(*) FROM messages", name) != "1":  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)
        await asyncio.to_thread(standby.crash)
        await say(store, "a", "ann", "lost", "lost too")
        await asyncio.to_thread(primary.crash)
        with pytest.raises(StoreUnavailable):
            await store.append(message("a", "ann"))
        # The standby's socket where the primary's was, as an address that moves.
        await asyncio.to_thread(standby.promote, primary.folder)
        while True:
            try:
                await say(store, "a", "ann", "new")
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
        assert await store.epoch() != before
        assert [m.content for m in await store.read("a", limit=10)] == ["kept", "new"]
        await store.close()
