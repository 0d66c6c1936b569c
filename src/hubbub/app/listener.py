"""The listening socket, and uvicorn without its own ideas about signals."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import uvicorn

from hubbub.app.errors import StartError
from hubbub.engineio import MakeHttp

_LOOPBACK = "127.0.0.1"
_LOOPBACK_V6 = "::1"
_BACKLOG = 2048
_HINTS = {
    errno.EADDRNOTAVAIL: "no network of this machine has that address: try another --host",
    errno.EADDRINUSE: "if hubbub runs here already, that is it; another needs its own --port and --data-dir",
    errno.EACCES: "ports below 1024 need the right to use them: try another --port",
}


def bind(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Return the listening sockets; for 127.0.0.1 that of ::1 too, where there is one: clients say
    `localhost`. With `shared` they only reserve the port, for workers that listen on it.

    Raises `StartError`, one readable line, when the address cannot be had.
    """
    backlog = 0 if shared else _BACKLOG
    listening = [bind_one(host, port, shared=shared, backlog=backlog)]
    if host == _LOOPBACK:
        with contextlib.suppress(StartError):
            other = listening[0].getsockname()[1]
            listening.append(bind_one(_LOOPBACK_V6, other, shared=shared, backlog=backlog))
    return listening


def bind_one(host: str, port: int, *, shared: bool = False, backlog: int = _BACKLOG) -> socket.socket:
    """Return one listening socket, or with a `backlog` of 0 one that is only bound. Raises `StartError`.

    The port of one that is `shared` others may have, too, and connections are dealt out among them.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError):
        raise StartError(f"cannot listen on host {host!r}: it is no address of this machine") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        if backlog:
            listening.listen(backlog)
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


@dataclass(frozen=True, slots=True)
class Inner:
    """The door of other nodes: its socket, and what makes the protocol of a connection from that of HTTP."""

    listening: socket.socket
    answering: Callable[[MakeHttp], asyncio.Protocol]


class Listener(uvicorn.Server):
    """uvicorn, told by us when to stop. `ready` is set when connections are taken."""

    def __init__(self, config: uvicorn.Config, inner: Inner | None = None) -> None:
        """`inner` is the door of other nodes; it stays open until all sessions are closed."""
        super().__init__(config)
        self.ready = asyncio.Event()
        self._inner = inner
        self._inner_server: asyncio.Server | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        if self._inner is not None:
            answering = partial(self._inner.answering, self._make_http)
            self._inner_server = await asyncio.get_running_loop().create_server(
                answering, sock=self._inner.listening
            )
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything, the inner door too."""
        if self._inner_server is not None:
            self._inner_server.close()
        await super().shutdown(sockets)

    def _make_http(self, state: dict[str, object]) -> asyncio.Protocol:
        """As uvicorn makes one for each connection, with a state of its own."""
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=state)

    def stop_listening(self) -> None:
        """Take no more connections; those that are open go on."""
        for server in self.servers:
            server.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield
