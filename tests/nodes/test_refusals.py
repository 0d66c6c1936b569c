"""What does not go together is refused in one line that says what to set."""

from pathlib import Path

import pytest

from tests.cli.command import hubbub
from tests.postgres import Postgres

VALKEY = "valkey://ann:hunter2@127.0.0.1:1"


def refused(folder: Path, **settings: str) -> str:
    """The one line of a server that does not start."""
    done = hubbub(folder, "serve", **{f"HUBBUB_{name.upper()}": value for name, value in settings.items()})
    assert (done.returncode, done.stdout) == (2, ""), done
    [line] = done.stderr.splitlines()
    assert "hunter2" not in line
    return line


@pytest.mark.parametrize("settings", [{}, {"database_url": "sqlite:///chat.db"}])
def test_a_file_serves_one_node(tmp_path: Path, settings: dict[str, str]) -> None:
    """Several nodes on one file would be wrong about everything."""
    line = refused(tmp_path, valkey_url=VALKEY, **settings)
    assert "set database_url (HUBBUB_DATABASE_URL) to postgresql://..." in line
    assert "valkey_url" in line


def test_postgresql_needs_a_bus(tmp_path: Path) -> None:
    """Nodes that share a database have to hear of each other."""
    line = refused(tmp_path, database_url="postgresql://ann:hunter2@host.invalid/chat")
    assert "database_url names PostgreSQL" in line
    assert "set valkey_url (HUBBUB_VALKEY_URL)" in line


def test_workers_need_a_bus(tmp_path: Path) -> None:
    """Workers are nodes, and have to hear of each other."""
    line = refused(tmp_path, workers="2", database_url="postgresql://ann:hunter2@host.invalid/chat")
    assert "set valkey_url (HUBBUB_VALKEY_URL) and database_url (HUBBUB_DATABASE_URL)" in line
    assert "workers" in line
    assert "workers" in refused(tmp_path, workers="2")


def test_a_valkey_that_is_away(tmp_path: Path, postgres_server: Postgres) -> None:
    """A node does not start alone where it should be one of several."""
    line = refused(tmp_path, database_url=postgres_server.url(postgres_server.create()), valkey_url=VALKEY)
    assert "valkey_url" in line
    assert "127.0.0.1:1" in line
