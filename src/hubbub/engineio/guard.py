"""Time and size limits of HTTP requests, which uvicorn's HTTP protocol has none of.

A client that sends its request's head or body drop by drop would hold a connection for ever (slowloris), and
a head without end would fill the memory. Every request of the port passes here, Engine.IO's or not.
"""

import asyncio
from http import HTTPStatus
from time import monotonic

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hubbub.engineio.config import EngineConfig
from hubbub.engineio.timers import Timers

_MAX_URL = 16_384
_MAX_HEAD = 65_536


class GuardedHttp(HttpToolsProtocol):
    """Uvicorn's HTTP protocol with a deadline for each request's head and body, and a limit on the head."""

    def __init__(
        self,
        limits: EngineConfig,
        timers: Timers,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._timers = timers
        self.timer_slot = -1
        self._in_head = True
        self._head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Start the clock for the first request."""
        super().connection_made(transport)
        self._timers.schedule(self, monotonic() + self._limits.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._timers.cancel(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too long."""
        super().data_received(data)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > _MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, and leave nothing behind for the garbage collector to find."""
        self._timers.cancel(self)
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as `connection_lost` does

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._head_size = 0
        self._timers.schedule(self, monotonic() + self._limits.header_timeout)

    def on_url(self, url: bytes) -> None:
        """Refuse a request line that is too long."""
        super().on_url(url)
        if len(self.url) > _MAX_URL:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG)
            # Stops the parser; uvicorn's own answer to the error goes to a connection that is closed already.
            raise ValueError("the request line is too long")

    def on_headers_complete(self) -> None:
        """Its body begins."""
        self._in_head = False
        self._timers.schedule(self, monotonic() + self._limits.body_timeout)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._timers.cancel(self)
        super().on_message_complete()

    def expire(self, now: float) -> float | None:
        """The request did not come in time."""
        self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        return None

    def _refuse(self, status: HTTPStatus) -> None:
        if not self.transport.is_closing():
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.write(head.encode())
            self.transport.close()
