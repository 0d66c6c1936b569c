"""A server process through its restarts."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.servers import HUBBUB, Server, serve
from tests.lossless.proxy import Target


class Node:
    """One server, always with the same folder and settings; while it runs, its port is one of `doors`.

    `program` may be changed before a start.
    """

    def __init__(self, folder: Path, doors: list[Target], settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.settings = settings
        self.program: Sequence[str] = HUBBUB
        self.logs: list[str] = []
        # How many files it had open when it had started.
        self.files = 0
        self._doors = doors
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """The process that runs."""
        assert self._server is not None
        return self._server

    @property
    def is_up(self) -> bool:
        """Whether it runs, as far as is known."""
        return self._server is not None

    async def start(self) -> None:
        """Serve, and open the door."""
        self._server = await serve(self.folder, self.program, **self.settings)
        self.files = open_files(self._server.pid)
        self._doors.append(self._server.port)

    async def kill(self) -> None:
        """SIGKILL."""
        self._close_door()
        await self.server.kill()
        self._keep_log()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.server.process.send_signal(signal.SIGTERM)
        return await self.gone()

    async def gone(self, seconds: float = 15) -> int:
        """Wait until it has ended by itself; the exit code."""
        try:
            return await self.server.exited(seconds)
        finally:
            self._close_door()
            self._keep_log()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.server.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.server.process.send_signal(signal.SIGCONT)

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        if self._server is not None:
            await self.kill()

    def take_logs(self) -> list[str]:
        """All lines since the last call."""
        kept, self.logs = self.logs, []
        if self._server is None:
            return kept
        lines = [*kept, *self._server.out, *self._server.err]
        self._server.out.clear()
        self._server.err.clear()
        return lines

    def _close_door(self) -> None:
        if self.server.port in self._doors:
            self._doors.remove(self.server.port)

    def _keep_log(self) -> None:
        self.logs += [*self.server.out, *self.server.err]
        self._server = None


def open_files(pid: int) -> int:
    """How many files and sockets a process has open; 0 where nobody says."""
    folder = Path(f"/proc/{pid}/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def resident(pid: int) -> int:
    """Bytes of memory that a process occupies; 0 where nobody says."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
