"""Where the running server can be reached, noted beside the database for the command line.

The note is only looked at when the database is in use, and may be left over from a server that was killed:
whoever reads it must see whether somebody answers.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hubbub.app.database import database_path, is_shared
from hubbub.settings import Settings


def place(settings: Settings) -> Path:
    """The file that holds the note: beside the database, or in the data folder when that is a server's."""
    if is_shared(settings):
        return settings.data_dir / "postgresql.address"
    path = database_path(settings)
    return path.with_name(f"{path.name}.address")


@contextlib.contextmanager
def noted(settings: Settings, url: str) -> Iterator[None]:
    """Keep a note of the server's address as long as it runs."""
    path = place(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(url + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read(settings: Settings) -> str | None:
    """The address noted, if any."""
    try:
        return place(settings).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
