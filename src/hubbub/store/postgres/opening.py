"""The first look at a database: whether it can be written, is ours, and has this program's tables.

Several nodes may start at once. One of them migrates, under an advisory lock; the others wait for it.
"""

import logging
from typing import Final

import asyncpg

from hubbub.store.base import StoreUnusable
from hubbub.store.migrate import head_revision, statements
from hubbub.store.postgres.address import CREATE, shown, unusable

CONNECTING: Final = 5.0
"""Seconds to wait for a connection."""

MIGRATING: Final = 600.0
"""Seconds to wait for the migration, one's own or another node's."""

OLDEST: Final = 14
"""The oldest PostgreSQL that will do."""

LOCK: Final = 0x68756262
"""The key of the advisory lock that migrations take ("hubb")."""

FACTS: Final = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
    current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS standby,
    current_setting('transaction_read_only') = 'on' AS read_only, current_setting('fsync') = 'on' AS durable
"""
TABLES: Final = """
SELECT to_regclass('alembic_version') IS NOT NULL AS versioned, to_regclass('meta') IS NOT NULL AS named,
    to_regclass('users') IS NOT NULL OR to_regclass('messages') IS NOT NULL AS taken
"""
REVISION: Final = "SELECT version_num FROM alembic_version"
log: Final = logging.getLogger(__name__)

DIALECT: Final = "postgresql+asyncpg://"
SESSION: Final = {"application_name": "hubbub", "statement_timeout": "0", "lock_timeout": "0"}


async def prepare(url: str) -> None:
    """Make or migrate the tables of a database.

    Raises `StoreUnusable`, with one readable line, when there is no connecting to it, when it cannot be
    written or would not be safe, is another program's, or is one of a newer hubbub.
    """
    try:
        connection = await asyncpg.connect(url, timeout=CONNECTING, server_settings=SESSION)
        try:
            await _check_server(url, connection)
            if await revision_of(url, connection) != head_revision():
                await _migrate(url, connection)
        finally:
            # Closing politely could wait for a server that hangs.
            connection.terminate()
    except (TimeoutError, OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unusable(url, error) from None


async def _check_server(url: str, connection: asyncpg.Connection) -> None:
    facts = await connection.fetchrow(FACTS, timeout=CONNECTING)
    assert facts is not None  # noqa: S101 - a SELECT without FROM has a row
    if facts["number"] < OLDEST * 10_000:
        problem = f"is PostgreSQL {facts['version']}: {OLDEST} or newer is needed"
    elif facts["standby"]:
        problem = "is a standby server: name the primary server"
    elif facts["read_only"]:
        problem = "is read-only: name the primary server, or mind default_transaction_read_only"
    elif facts["encoding"] != "UTF8":
        problem = f"has the encoding {facts['encoding']}, which cannot hold every text: {CREATE}"
    else:
        if not facts["durable"]:
            log.warning("%s has fsync off: a power cut loses messages, and may lose all", shown(url))
        return
    raise StoreUnusable(f"{shown(url)} {problem}")


async def revision_of(url: str, connection: asyncpg.Connection) -> str | None:
    """Return a database's revision; None for an empty one. Raises `StoreUnusable` for another program's."""
    tables = await connection.fetchrow(TABLES, timeout=CONNECTING)
    assert tables is not None  # noqa: S101 - as above
    if (tables["versioned"] or tables["taken"]) and not (tables["versioned"] and tables["named"]):
        raise StoreUnusable(f"{shown(url)} is a database of another program: name another one")
    if not tables["versioned"]:
        return None
    revision: str | None = await connection.fetchval(REVISION, timeout=CONNECTING)
    return revision


async def _migrate(url: str, connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK, timeout=MIGRATING)
    current = await revision_of(url, connection)
    if current != head_revision():
        await connection.execute(statements(DIALECT, current), timeout=MIGRATING)
