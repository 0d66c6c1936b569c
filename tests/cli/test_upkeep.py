"""`hubbub backup`, `restore` and `check` as programs: beside a server, after it, and what they refuse."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from hubbub.cli import progress
from tests.cli.command import Done, environment, make_database, output, program, serving

PASSWORD = "correct horse\n"


def refused(done: Done) -> str:
    """The one line of a command that failed with exit code 2 and had nothing to say on stdout."""
    assert (done.returncode, done.stdout) == (2, ""), done
    [line] = done.stderr.splitlines()
    return line.removeprefix("hubbub: ")


def said(done: Done) -> str:
    """What a command says that succeeds and complains of nothing."""
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def chats(data: Path) -> list[str]:
    """The names of the chats, oldest first."""
    return [chat["name"] for chat in json.loads(output(data, "chat", "list", "--json"))][::-1]


def test_a_backup_and_its_return(tmp_path: Path) -> None:
    """A backup is made and the database is checked while the server runs; it is put back when it does not."""
    with serving(tmp_path) as url:
        output(tmp_path, "user", "add", "ann", stdin=PASSWORD)
        output(tmp_path, "chat", "create", "before", "--owner", "ann")
        assert said(program(tmp_path, "backup", "backup.db")).endswith(
            "hubbub.db is backed up to backup.db\n"
        )
        output(tmp_path, "chat", "create", "after", "--owner", "ann")
        assert "is sound: 2 chats, 0 messages" in said(program(tmp_path, "check"))
        assert "in use by another hubbub server: stop that one" in refused(
            program(tmp_path, "restore", "backup.db")
        )
        with urllib.request.urlopen(f"{url}/health/ready") as answer:
            assert answer.status == 200
    assert chats(tmp_path) == ["before", "after"]
    told = said(program(tmp_path, "restore", "backup.db")).splitlines()
    assert told[0].endswith("hubbub.db is backup.db now")
    assert chats(tmp_path) == ["before"]
    kept = told[1].removeprefix("The database before is ")
    assert "is sound: 2 chats" in said(program(tmp_path, "check", "--database-url", f"sqlite:///{kept}"))
    with serving(tmp_path):
        assert chats(tmp_path) == ["before"]


def test_findings(tmp_path: Path) -> None:
    """Each fault is a line on stdout, and the exit code is 1."""
    make_database(tmp_path)
    output(tmp_path, "user", "add", "ann", stdin=PASSWORD)
    chat = output(tmp_path, "chat", "create", "Team", "--owner", "ann").strip()
    with closing(sqlite3.connect(tmp_path / "hubbub.db")) as raw, raw:
        raw.execute("UPDATE chats SET last_seq = 3, member_count = 7")
    done = program(tmp_path, "check")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        f"chat {chat}: last_seq is 3, but the newest message has 0",
        f"chat {chat}: member_count is 7, but there are 1 members",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backup", "new.db"], "there is no database at"),
        (["backup", "nowhere/new.db"], "nowhere/new.db cannot be written: No such file or directory"),
        (["backup", "notes"], "notes exists already"),
        (["restore", "nothing.db"], "there is no database at nothing.db"),
        (["restore", "notes"], "notes is not a database"),
        (["restore", "."], "there is no database at ."),
        (["check"], "there is no database at"),
        (["check", "--database-url", "sqlite:///notes"], "notes is not a database"),
        (["check", "--database-url", "postgresql://x"], "database_url"),
    ],
)
def test_what_cannot_be_done(tmp_path: Path, arguments: list[str], words: str) -> None:
    """A file that is no backup, a folder that is not there: one line, exit code 2, nothing left behind."""
    (tmp_path / "notes").write_text("a shopping list\n" * 100)
    assert words in refused(program(tmp_path, *arguments))
    left = {path.name for path in tmp_path.iterdir()} - {"hubbub.db.lock"}
    assert left == {"notes"}
    assert (tmp_path / "notes").read_text() == "a shopping list\n" * 100


def test_a_short_job_shows_no_bar(tmp_path: Path) -> None:
    """On a terminal, too, a command that is soon done prints its answer and nothing else."""
    make_database(tmp_path)
    terminal, end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "hubbub", "check"],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        stdout=subprocess.PIPE,
        stderr=end,
        timeout=60,
        check=True,
    )
    os.close(end)
    with pytest.raises(OSError, match="Input/output error"):
        os.read(terminal, 1000)
    os.close(terminal)
    assert b"is sound" in done.stdout


class Screen:
    """A terminal that keeps what is written to it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def run_long(screen: Screen, *, terminal: bool) -> None:
    """A job that is half done for as long as it takes to see that."""
    console = Console(file=screen, force_terminal=terminal, width=80)  # type: ignore[arg-type]  # a file as far as it goes
    with progress.progress_bar(console) as report:
        report("copying", 50, 100)
        deadline = time.monotonic() + (5 if terminal else 0.2)
        while "50%" not in screen.text and time.monotonic() < deadline:
            time.sleep(0.01)


def test_a_long_job_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done and how much of it is seen on a terminal once it takes long, and wiped away at the end."""
    monkeypatch.setattr(progress, "LONG", 0.05)
    screen = Screen()
    run_long(screen, terminal=True)
    assert "copying" in screen.text
    assert "50%" in screen.text
    assert screen.text.endswith("\x1b[2K")


def test_no_bar_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it goes to a file or a pipe."""
    monkeypatch.setattr(progress, "LONG", 0.05)
    screen = Screen()
    run_long(screen, terminal=False)
    assert screen.text == ""
