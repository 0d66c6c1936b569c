"""Looking after the database beside the server: back up, put back, look through (docs/operations.md)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hubbub.app.database import database_path, is_shared
from hubbub.app.errors import StartError
from hubbub.settings import Settings
from hubbub.store import audit, backups
from hubbub.store.base import StoreUnusable
from hubbub.store.postgres import audit as postgres_audit
from hubbub.store.snapshot import Progress


def back_up(settings: Settings, target: Path, progress: Progress) -> None:
    """Copy the database to a new file, also while a server runs. Raises `StartError`."""
    _require_file(settings, "use pg_dump, which makes one beside running servers")
    with _readable():
        backups.back_up(database_path(settings), target, progress)


def restore(settings: Settings, source: Path, progress: Progress) -> Path | None:
    """Put a backup in the database's place; return where the one before is kept. Raises `StartError`."""
    _require_file(settings, "stop all servers and use pg_restore; the next start gives it a new epoch")
    with _readable():
        return backups.restore(database_path(settings), source, progress)


def check(settings: Settings, progress: Progress) -> audit.Report:
    """Look through the database, also while a server runs. Raises `StartError`."""
    with _readable():
        if is_shared(settings):
            return asyncio.run(postgres_audit(settings.store_url, progress))
        return audit.audit(database_path(settings), progress)


def _require_file(settings: Settings, instead: str) -> None:
    if is_shared(settings):
        raise StartError(f"PostgreSQL has its own tools for backups: {instead} (docs/operations.md)")


@contextmanager
def _readable() -> Iterator[None]:
    """Failures of the database are one line to whoever runs the command."""
    try:
        yield
    except StoreUnusable as error:
        raise StartError(str(error)) from None
