"""Commands on a PostgreSQL database, and what they leave to PostgreSQL's own tools."""

from pathlib import Path

import pytest

from tests import postgres
from tests.cli.command import Done, hubbub

AWAY = "postgresql://ann:hunter2@host.invalid/chat"


def refused(done: Done) -> str:
    """The one line of a command that failed."""
    assert (done.returncode, done.stdout) == (2, ""), done
    [line] = done.stderr.splitlines()
    assert "hunter2" not in line
    return line


@pytest.mark.parametrize(("command", "tool"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_backups_are_postgresqls_own(tmp_path: Path, command: str, tool: str) -> None:
    """The commands say which tool to use."""
    assert f"use {tool}" in refused(hubbub(tmp_path, command, "file", HUBBUB_DATABASE_URL=AWAY))


@pytest.mark.parametrize("command", ["migrate", "check"])
def test_a_database_that_is_away(tmp_path: Path, command: str) -> None:
    """One line that says which, and not the password."""
    line = refused(hubbub(tmp_path, command, HUBBUB_DATABASE_URL=AWAY))
    assert "postgresql://host.invalid/chat cannot be reached" in line


def test_the_password_is_masked(tmp_path: Path) -> None:
    """`hubbub config` shows where the database is, and no secret."""
    done = hubbub(tmp_path, "config", HUBBUB_DATABASE_URL=AWAY, COLUMNS="200")
    assert "postgresql://ann:********@host.invalid/chat" in done.stdout
    assert "hunter2" not in done.stdout


def test_migrating_and_looking_through(tmp_path: Path, postgres_server: postgres.Postgres) -> None:
    """An empty database is refused by `check`, migrated, found sound, and found faulty when it is."""
    name = postgres_server.create()
    url = postgres_server.url(name)
    assert "run `hubbub migrate` first" in refused(hubbub(tmp_path, "check", HUBBUB_DATABASE_URL=url))
    done = hubbub(tmp_path, "migrate", HUBBUB_DATABASE_URL=url)
    assert done.stdout == f"postgresql:///{name} is up to date\n"
    done = hubbub(tmp_path, "check", HUBBUB_DATABASE_URL=url)
    assert done.stdout == f"postgresql:///{name} is sound: 0 chats, 0 messages\n"
    postgres_server.sql("UPDATE counters SET messages = 7 WHERE id = 9", name)
    done = hubbub(tmp_path, "check", HUBBUB_DATABASE_URL=url)
    assert (done.returncode, done.stdout) == (1, "totals: 7 messages, but there are 0\n")
