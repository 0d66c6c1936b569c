"""A real `hubbub serve` in a process of its own, on a port that the system chose."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.users import SECRET

START = 60.0
"""Seconds that a start may take on a busy machine."""

STOP = 10.0
"""Seconds from SIGTERM to the exit, as promised."""

LISTENING = re.compile(r"listening on (http://\S+:(\d+))\s*$")

FORBIDDEN = (
    "Traceback (most recent call last)",
    "never retrieved",
    "was never awaited",
    "is pending!",
    "Unclosed",
)
"""What may stand in no log of a server that only met clients."""

HUBBUB = ("-m", "hubbub")
"""The program, as arguments of Python."""

RATES_OFF = {
    "connection_rate": "off",
    "login_rate": "off",
    "login_address_rate": "off",
    "message_rate": "off",
    "typing_rate": "off",
    "request_rate": "off",
}


def environment(data_dir: Path, settings: Mapping[str, str | None]) -> dict[str, str]:
    """This process's environment with these settings and no others of hubbub's; None leaves one out."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}
    chosen = {"host": "127.0.0.1", "port": "0", "data_dir": str(data_dir), "jwt_secret": SECRET, **settings}
    root = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, [str(root / "src"), str(root), clean.get("PYTHONPATH", "")]))
    named = {f"HUBBUB_{name.upper()}": value for name, value in chosen.items() if value is not None}
    return {**clean, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **named}


@dataclass(slots=True)
class Server:
    """A running server. `out` and `err` are its lines so far."""

    data_dir: Path
    settings: Mapping[str, str | None]
    process: asyncio.subprocess.Process
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    url: str = ""
    readers: tuple[asyncio.Task[None], ...] = ()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def port(self) -> int:
        """The port that the system chose."""
        return int(self.url.rsplit(":", 1)[1])

    def log(self) -> str:
        """All that it printed."""
        return "\n".join([*self.out, *self.err])

    async def exited(self, timeout: float = STOP) -> int:
        """Wait for the exit, and for the last line; the exit code."""
        async with asyncio.timeout(timeout):
            code = await self.process.wait()
            await asyncio.gather(*self.readers)
        return code

    async def stop(self) -> None:
        """SIGTERM; it must exit with 0 in time and have logged nothing that is a bug."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = await self.exited()
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"still there {STOP:g} s after SIGTERM; its log:\n{self.log()}") from None
        assert code == 0, f"exit code {code} after SIGTERM; its log:\n{self.log()}"
        self.check_log()

    async def end(self) -> None:
        """Stop it, unless the test has done so; either way its log must be clean."""
        if self.process.returncode is None:
            await self.stop()
        await self.exited()
        self.check_log()

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process.returncode is None:
            self.process.kill()
        await self.exited()

    def check_log(self) -> None:
        """Fail for a traceback and for errors that nobody looked at."""
        log = self.log()
        found = [words for words in FORBIDDEN if words in log]
        assert not found, f"the server's log contains {found}:\n{log}"


async def launch(
    data_dir: Path, settings: Mapping[str, str | None], program: Sequence[str] = HUBBUB
) -> Server:
    """Start the process in an existing folder, and nothing more; for starts that are to fail."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(*program, "serve"),
        cwd=data_dir,
        env=environment(data_dir, settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    server = Server(data_dir, settings, process)
    assert process.stdout is not None
    assert process.stderr is not None
    server.readers = (
        asyncio.create_task(_read(process.stdout, server.out)),
        asyncio.create_task(_read(process.stderr, server.err)),
    )
    return server


async def serve(data_dir: Path, program: Sequence[str] = HUBBUB, /, **settings: str | None) -> Server:
    """A server that can be connected to; the rates are off unless given, None standing for the default."""
    server = await launch(data_dir, {**RATES_OFF, **settings}, program)
    deadline = time.monotonic() + START
    while not (match := next(filter(None, map(LISTENING.search, server.out)), None)):
        if server.process.returncode is not None or time.monotonic() > deadline:
            await server.kill()
            raise AssertionError(f"no `listening on` line; its log:\n{server.log()}")
        await asyncio.sleep(0.02)
    server.url = match[1]
    return server


async def _read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode(errors="replace").rstrip("\n"))


class ServerPool:
    """Servers that tests share: one for each set of settings, started when first asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._shared: dict[frozenset[tuple[str, str | None]], Server] = {}
        self._count = 0

    def folder(self) -> Path:
        """A new folder for data."""
        self._count += 1
        folder = self._root / f"data{self._count}"
        folder.mkdir()
        return folder

    async def shared(self, **settings: str | None) -> Server:
        """The running server with these settings."""
        key = frozenset(settings.items())
        server = self._shared.get(key)
        if server is None or server.process.returncode is not None:
            server = self._shared[key] = await serve(self.folder(), **settings)
        return server

    async def close(self) -> None:
        """Stop them all, and say of all that failed."""
        results = await asyncio.gather(*(s.stop() for s in self._shared.values()), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise ExceptionGroup(
                "servers that did not stop well", [e for e in failures if isinstance(e, Exception)]
            )
