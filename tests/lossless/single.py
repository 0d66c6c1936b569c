"""One server on SQLite."""

import asyncio
import sqlite3
import sys
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.harness.servers import HUBBUB, environment
from tests.lossless.history import Seen, Whole, brief
from tests.lossless.node import Node
from tests.lossless.stage import FAST, Stage, judge_log
from tests.lossless.violations import Violation

HEARTBEAT: Final = {"ping_interval": "400ms", "ping_timeout": "800ms"}


class SingleStage(Stage):
    """The server, its data in a folder; `finish` stops it."""

    def __init__(self, folder: Path, program: Sequence[str] = HUBBUB, **settings: str) -> None:
        super().__init__()
        self.folder = folder
        self.node = Node(folder, self.doors, {**FAST, **HEARTBEAT, **settings})
        self.node.program = program
        self.nodes = [self.node]

    async def start(self) -> None:
        """Serve."""
        await self.node.start()

    async def command(self, *words: str) -> None:
        """Run a command of the program on the same data; it must succeed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(*self.node.program, *words),
            env=environment(self.folder, self.node.settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        assert process.returncode == 0, f"{words} ended with {process.returncode}:\n{told.decode()}"

    async def finish(self, chats: Collection[str]) -> tuple[list[Whole], list[Violation]]:
        """Stop the server, and read the file."""
        code = await self.node.stop()
        found = [Violation("I10 alive", f"exit code {code} after SIGTERM")] if code else []
        wholes = [one for one in read_database(self.folder) if one.chat in chats]
        return wholes, [*found, *judge_log(self.node.take_logs())]


def read_database(folder: Path) -> list[Whole]:
    """What the database file holds of each chat; the server must have stopped. Raises on any damage."""
    with closing(sqlite3.connect(folder / "hubbub.db")) as database:
        (state,) = database.execute("PRAGMA integrity_check").fetchone()
        assert state == "ok", f"the database is damaged: {state}"
        assert not database.execute("PRAGMA foreign_key_check").fetchall()
        (epoch,) = database.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
        chats = database.execute("SELECT id, last_seq FROM chats ORDER BY id").fetchall()
        return [
            Whole("database", chat, epoch, last_seq, _read_chat(database, chat)) for chat, last_seq in chats
        ]


def _read_chat(database: sqlite3.Connection, chat: str) -> list[Seen]:
    part = "SELECT seq, id, user_id, client_message_id, content FROM {} WHERE chat_id = ?"
    log = f"{part.format('messages')} UNION ALL {part.format('tail')} ORDER BY seq"
    rows = database.execute(log, (chat, chat))
    return [Seen(chat, seq, id_, user, client_id, brief(text)) for seq, id_, user, client_id, text in rows]
