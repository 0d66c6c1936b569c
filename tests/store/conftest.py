"""The stores that face the contract suite."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from hubbub.store.base import Store
from hubbub.store.postgres import PostgresStore
from hubbub.store.sqlite import SqliteStore

Opener: TypeAlias = Callable[[], Awaitable[Store]]


@pytest.fixture(params=["sqlite", "postgres"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same database each time that it is called; the one before must be closed."""
    if request.param == "postgres":
        url = request.getfixturevalue("database_url")
        return lambda: PostgresStore.open(url)
    return lambda: SqliteStore.open(tmp_path / "hubbub.db")


@pytest.fixture
async def store(open_store: Opener) -> AsyncIterator[Store]:
    """A new, empty store."""
    opened = await open_store()
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A new SQLite store, for what concerns SQLite alone."""
    opened = await SqliteStore.open(tmp_path / "hubbub.db")
    yield opened
    await opened.close()


@pytest.fixture
async def shared(database_url: str) -> AsyncIterator[list[PostgresStore]]:
    """Three stores on one PostgreSQL database, as three nodes have them."""
    stores = [await PostgresStore.open(database_url) for _ in range(3)]
    yield stores
    await asyncio.gather(*(one.close() for one in stores))
