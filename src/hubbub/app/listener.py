"""The listening socket, and uvicorn without its own ideas about signals."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn

from hubbub.app.errors import StartError

_LOOPBACK = "127.0.0.1"
_LOOPBACK_V6 = "::1"
_BACKLOG = 2048
_HINTS = {
    errno.EADDRNOTAVAIL: "no network of this machine has that address: try another --host",
    errno.EADDRINUSE: "if hubbub runs here already, that is it; another needs its own --port and --data-dir",
    errno.EACCES: "ports below 1024 need the right to use them: try another --port",
}


def bind(host: str, port: int) -> list[socket.socket]:
    """Return the listening sockets; for 127.0.0.1 that of ::1 too, where there is one: clients say
    `localhost`.

    Raises `StartError`, one readable line, when the address cannot be had.
    """
    listening = [_bind(host, port)]
    if host == _LOOPBACK:
        with contextlib.suppress(StartError):
            listening.append(_bind(_LOOPBACK_V6, listening[0].getsockname()[1]))
    return listening


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError):
        raise StartError(f"cannot listen on host {host!r}: it is no address of this machine") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        hint = _HINTS.get(error.errno or 0, "try another --port")
        raise StartError(f"cannot listen on {host} port {port}: {reason}; {hint}") from None
    listening.setblocking(False)
    return listening


def url_of(listening: socket.socket) -> str:
    """Return where a listening socket can be reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener(uvicorn.Server):
    """uvicorn, told by us when to stop. `ready` is set when connections are taken."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        self.ready.set()

    def stop_listening(self) -> None:
        """Take no more connections; those that are open go on."""
        for server in self.servers:
            server.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield
