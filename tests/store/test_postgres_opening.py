"""Databases that a server must not begin with: one readable line, and never the password."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hubbub.store.base import StoreUnusable
from hubbub.store.migrate import head_revision
from hubbub.store.postgres import PostgresStore
from tests import postgres
from tests.store.samples import room, say

SECRET = "hunter2"


async def refusal(url: str) -> str:
    """The line that refuses a database."""
    with pytest.raises(StoreUnusable) as refused:
        await PostgresStore.open(url)
    told = str(refused.value)
    assert SECRET not in told
    assert "\n" not in told
    return told


@pytest.fixture
def empty(postgres_server: postgres.Postgres) -> Iterator[str]:
    """The name of an empty database."""
    name = postgres_server.create()
    yield name
    postgres_server.sql(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """Neither a port that nobody listens on, nor a host that does not exist, nor a socket."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        told = await refusal(f"postgresql://ann:{SECRET}@127.0.0.1:{port}/chat")
    assert told.startswith(f"postgresql://127.0.0.1:{port}/chat cannot be reached")
    assert "cannot be reached" in await refusal(f"postgres://ann:{SECRET}@host.invalid/chat")
    assert "cannot be reached" in await refusal(f"postgresql://ann:{SECRET}@/chat?host={tmp_path}")


async def test_something_else_listens() -> None:
    """A server that speaks another protocol, or nothing at all, is refused in time."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    await refusal(f"postgresql://ann:{SECRET}@127.0.0.1:{port}/chat")
    other.close()


async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps TLS from being spoken is told apart: the server's no, and certificates."""

    async def say_no(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await reader.readexactly(8)
        writer.write(b"N")
        writer.close()

    monkeypatch.setenv("HOME", str(tmp_path))
    plain = await asyncio.start_server(say_no, "127.0.0.1", 0)
    url = f"postgresql://ann:{SECRET}@127.0.0.1:{plain.sockets[0].getsockname()[1]}/chat?sslmode="
    told = await refusal(f"{url}require")
    assert "does not speak TLS" in told
    assert "sslmode=disable in database_url" in told
    assert "set sslrootcert=FILE in database_url" in await refusal(f"{url}verify-full")
    nowhere = tmp_path / "nowhere.crt"
    assert "set sslrootcert=FILE" in await refusal(f"{url}verify-full&sslrootcert={nowhere}")
    plain.close()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}@host:port/chat",
        f"postgresql://ann:{SECRET}/@host/chat",
        f"postgresql://ann:{SECRET}@127.0.0.1:1/chat?sslmode=perhaps",
        f"postgresql://127.0.0.1:1/chat?user=ann&password={SECRET}",
    ],
)
async def test_malformed_urls(url: str) -> None:
    """Whatever is wrong with it, the password is not told."""
    await refusal(url)


async def test_a_database_or_user_that_is_not_there(postgres_server: postgres.Postgres, empty: str) -> None:
    """Each is told apart from a server that cannot be reached."""
    assert "no such database: make it" in await refusal(postgres_server.url("nowhere"))
    assert "refuses the user" in await refusal(postgres_server.url(empty, f"nobody:{SECRET}"))


async def test_a_wrong_password(postgres_server: postgres.Postgres, empty: str) -> None:
    """It is refused, and a user who may not make tables is told what to do."""
    postgres_server.sql(f"CREATE ROLE {empty} LOGIN PASSWORD '{SECRET}'")
    believed = (postgres_server.data / "pg_hba.conf").read_text()
    rule = f"local all {empty} scram-sha-256\n"
    (postgres_server.data / "pg_hba.conf").write_text(rule + believed)
    postgres_server.sql("SELECT pg_reload_conf()")
    try:
        told = await refusal(postgres_server.url(empty, f"{empty}:wrong-{SECRET}"))
        assert "refuses the user or the password" in told
        told = await refusal(postgres_server.url(empty, f"{empty}:{SECRET}"))
        assert "does not let this user make tables: GRANT CREATE" in told
        postgres_server.sql(f"GRANT CREATE ON SCHEMA public TO {empty}", empty)
        store = await PostgresStore.open(postgres_server.url(empty, f"{empty}:{SECRET}"))
        await room(store, "a", "ann")
        await store.close()
    finally:
        (postgres_server.data / "pg_hba.conf").write_text(believed)
        postgres_server.sql("SELECT pg_reload_conf()")


async def test_a_database_of_another_program(postgres_server: postgres.Postgres, empty: str) -> None:
    """One that has tables of the same names, or revisions of something else, is left alone."""
    postgres_server.sql("CREATE TABLE users (id int)", empty)
    assert "database of another program" in await refusal(postgres_server.url(empty))
    postgres_server.sql("DROP TABLE users; CREATE TABLE alembic_version (version_num text)", empty)
    assert "database of another program" in await refusal(postgres_server.url(empty))


async def test_a_newer_database(postgres_server: postgres.Postgres, database_url: str) -> None:
    """A database that a newer program has changed is left alone."""
    name = database_url.rpartition("/test_")[0] and database_url.split("/")[3].partition("?")[0]
    postgres_server.sql("UPDATE alembic_version SET version_num = '9999'", name)
    assert "made by a newer hubbub (revision 9999" in await refusal(database_url)
    postgres_server.sql(f"UPDATE alembic_version SET version_num = '{head_revision()}'", name)
    await (await PostgresStore.open(database_url)).close()


async def test_an_encoding_that_lacks_characters(postgres_server: postgres.Postgres) -> None:
    """A database that cannot hold every text is refused, with the way to make one that can."""
    postgres_server.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
    assert "ENCODING 'UTF8'" in await refusal(postgres_server.url("latin"))
    postgres_server.sql("DROP DATABASE latin")


async def test_a_read_only_database(postgres_server: postgres.Postgres, empty: str) -> None:
    """It would take no message."""
    postgres_server.sql(f"ALTER DATABASE {empty} SET default_transaction_read_only = on")
    assert "is read-only" in await refusal(postgres_server.url(empty))


async def test_an_old_server(
    postgres_server: postgres.Postgres, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version found and the version needed are told."""
    monkeypatch.setattr("hubbub.store.postgres.opening.OLDEST", 99)
    assert "99 or newer is needed" in await refusal(postgres_server.url(empty))


async def test_a_server_that_stops_in_the_middle(postgres_server: postgres.Postgres) -> None:
    """A migration that breaks off has never been begun, and is done by the next start."""
    with postgres.running() as server:
        name = server.create()
        opening = asyncio.create_task(PostgresStore.open(server.url(name)))
        await asyncio.to_thread(server.crash)
        await asyncio.gather(opening, return_exceptions=True)
        await asyncio.to_thread(server.start)
        store = await PostgresStore.open(server.url(name))
        await room(store, "a", "ann")
        await say(store, "a", "ann", "hello")
        await store.close()


async def test_synchronous_commit_is_switched_on(
    postgres_server: postgres.Postgres, database_url: str
) -> None:
    """A server that would acknowledge before the disk has it does not do so for our sessions."""
    name = database_url.split("/")[3].partition("?")[0]
    postgres_server.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    store = await PostgresStore.open(database_url)
    for connections in (store._readers, store._writers):
        shown = await connections.read(lambda c: c.fetchval("SHOW synchronous_commit"))
        assert shown == "on"
    await store.close()
