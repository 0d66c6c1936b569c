"""The server of a run: started, killed, stopped and frozen, always on the same data."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.harness.servers import FORBIDDEN, HUBBUB, Server, environment, serve
from tests.lossless.history import Seen, Whole, brief
from tests.lossless.proxy import Proxy

FAST: Final = {
    "ping_interval": "400ms",
    "ping_timeout": "800ms",
    "max_outbox_bytes": "65536",
    "log_level": "info",
}
"""Settings by which things happen in seconds that take minutes otherwise."""

DISK: Final = 96 * 2**20
"""Bytes of the small disk."""


class Stage:
    """One server and the proxies in front of it. `front` is for who is spared the faults."""

    def __init__(self, data_dir: Path, program: Sequence[str] = HUBBUB, **settings: str) -> None:
        self.data_dir = data_dir
        self.front = Proxy()
        self.logs: list[str] = []
        self._program = program
        self._settings = {**FAST, **settings}
        self._proxies = [self.front]
        self._server: Server | None = None

    async def start(self) -> None:
        """Serve, and let the proxies know where."""
        self._server = await serve(self.data_dir, self._program, **self._settings)
        for proxy in self._proxies:
            proxy.target = self._server.port

    async def proxy(self) -> Proxy:
        """A new way to the server."""
        proxy = Proxy()
        await proxy.start()
        proxy.target = self.front.target
        self._proxies.append(proxy)
        return proxy

    @property
    def server(self) -> Server:
        """The one that runs."""
        assert self._server is not None
        return self._server

    async def kill(self) -> None:
        """SIGKILL."""
        self._close_doors()
        await self.server.kill()
        self._keep_log()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.server.process.send_signal(signal.SIGTERM)
        try:
            return await self.server.exited(15)
        finally:
            self._close_doors()
            self._keep_log()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.server.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.server.process.send_signal(signal.SIGCONT)

    async def command(self, *words: str) -> None:
        """Run a command of the program on the same data; it must succeed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(*self._program, *words),
            env=environment(self.data_dir, self._settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        assert process.returncode == 0, f"{words} ended with {process.returncode}:\n{told.decode()}"

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        if self._server is not None and self._server.process.returncode is None:
            await self.kill()
        for proxy in self._proxies:
            await proxy.close()

    def _close_doors(self) -> None:
        for proxy in self._proxies:
            proxy.target = None

    def _keep_log(self) -> None:
        self.logs += [*self.server.out, *self.server.err]
        self._server = None

    def judge_log(self) -> list[str]:
        """What stands in no server's log, whatever clients, disk and network did; each with its lines."""
        found = [at for at, line in enumerate(self.logs) if any(words in line for words in FORBIDDEN)]
        return ["in the log:\n" + "\n".join(self.logs[max(0, at - 2) : at + 40]) for at in found]


def read_database(data_dir: Path) -> list[Whole]:
    """What the database file holds of each chat; the server must have stopped. Raises on any damage."""
    with closing(sqlite3.connect(data_dir / "hubbub.db")) as database:
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


class SmallDisk:
    """A file system of a few megabytes that can be filled up. Needs the right to mount one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def mount(self) -> str | None:
        """Make it; why that is not possible here, or None."""
        if shutil.which("mount") is None or os.geteuid() != 0:
            return "mounting a tmpfs needs root"
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else f"no tmpfs can be mounted here: {done.stderr.strip()}"

    def unmount(self) -> None:
        """Give it back, with all that is on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)

    def fill(self) -> None:
        """Leave no room at all."""
        block = b"\0" * 65536
        with self._ballast.open("ab", buffering=0) as file:
            for size in (len(block), 4096, 512, 1):
                try:
                    while file.write(block[:size]) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)
