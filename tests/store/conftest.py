"""The stores that face the contract suite."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from hubbub.store.base import Store
from hubbub.store.sqlite import SqliteStore

Opener: TypeAlias = Callable[[], Awaitable[Store]]


@pytest.fixture(params=["sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same database each time that it is called; the one before must be closed."""
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
