"""A server's process: in a session of its own, so that Ctrl-C reaches only who started it; what it prints is
in a log.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

START = 60.0
"""Seconds that a start may take on a busy machine."""

LOOPBACK = "127.0.0.1"

_PAUSE = 0.02
_LINES = 20


class Failure(Exception):
    """Something cannot be run; the message says what, why, and what would help."""


class Program:
    """One server's process, once it is launched. `name` is for people."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._from = 0

    def launch(
        self,
        command: Sequence[str | Path],
        folder: Path,
        *,
        user: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it in a folder, as another user if need be."""
        with self.log.open("ab") as output:
            self._from = output.tell()
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                user=user,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id. Only while it is launched."""
        assert self.process is not None, f"{self.name} was not launched"
        return self.process.pid

    def runs(self) -> bool:
        """Whether it was launched and has not ended."""
        return self.process is not None and self.process.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float = START) -> None:
        """Wait for a condition. Raises `Failure`, with the end of the log, when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.runs():
                raise Failure(f"{self.how_it_ended()}; {self.tail()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} does not get ready in {seconds:g} s; {self.tail()}")
            time.sleep(_PAUSE)

    def ask(self, how: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None and self.runs():
            self.process.send_signal(how)

    def wait(self, patience: float) -> int | None:
        """Wait for its end and return its exit code. After `patience` seconds it is killed: None, as there is
        none when it was not launched.
        """
        if self.process is None:
            return None
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def stop(self, how: signal.Signals, patience: float) -> int | None:
        """End it by a signal; as `wait` returns."""
        self.ask(how)
        return self.wait(patience)

    def output(self) -> str:
        """What it has printed since it was launched last."""
        with self.log.open("rb") as file:
            file.seek(self._from)
            return file.read().decode(errors="replace")

    def tail(self) -> str:
        """The last lines of its log, and where that is."""
        lines = self.output().splitlines()[-_LINES:]
        return "\n".join([f"the end of its log, {self.log}:", *(f"    {line}" for line in lines)])

    def how_it_ended(self) -> str:
        """A clause that says so, for one that has ended."""
        code = self.process.returncode if self.process is not None else None
        if code is None:
            return f"{self.name} was not started"
        if code < 0:
            return f"{self.name} was ended by {signal.Signals(-code).name}"
        return f"{self.name} ended with exit code {code}"


def takes_connections(port: int) -> bool:
    """Whether somebody listens at a port of this machine."""
    try:
        socket.create_connection((LOOPBACK, port), 1.0).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """Return a port that is free now, as is the one that a cluster of Valkeys uses beside it."""
    while True:
        with socket.socket() as listener:
            listener.bind((LOOPBACK, 0))
            port: int = listener.getsockname()[1]
        if port < 55_000:
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen at a port of this machine."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_root() -> bool:
    """Whether this process is root's, which some servers do not like to be."""
    return os.geteuid() == 0
