"""uvicorn's HTTP protocol, with time and size limits, which it has none of, and with Engine.IO's own requests
taken out of it.

A client that sends its request's head or body drop by drop would hold a connection for ever (slowloris), and
a head without end would fill the memory. Every request of the port passes here. Those for the engine's path
go to `polling` or `websocket`; all others, and what another node has to answer, to the ASGI application.
"""

import asyncio
import sys
from collections.abc import Callable, Collection
from functools import partial
from http import HTTPStatus
from time import monotonic
from typing import cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_remote_addr, is_ssl
from uvicorn.server import ServerState

from hubbub.engineio.exchange import Exchange
from hubbub.engineio.nodes import ELSEWHERE, Elsewhere
from hubbub.engineio.parts import Parts
from hubbub.engineio.polling import Polling, PollingWire
from hubbub.engineio.requests import Request, fold_headers
from hubbub.engineio.websocket import WebSocket

_MAX_URL = 16_384
_MAX_HEAD = 65_536
# What is no body behind the head: chunk sizes, trailers. More than the largest piece that is read at once.
_MAX_TRAILERS = 327_680


class _Flow(FlowControl):
    """Reads nothing more while requests wait for those before them."""

    def __init__(self, transport: asyncio.Transport, waiting: Collection[object]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, if nothing waits."""
        if not self._waiting:
            super().resume_reading()


class GuardedHttp(HttpToolsProtocol):
    """Uvicorn's HTTP protocol with a deadline for each request's head and body, and a limit on the head.

    What it uses of uvicorn is checked by `tests/engineio/test_uvicorn_contract.py`.
    """

    def __init__(
        self,
        parts: Parts,
        polling: Polling,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._parts = parts
        self._polling = polling
        self._limits = parts.config
        self._timers = parts.timers
        # The polling request that is being answered, or was last.
        self._running: Exchange | None = None
        self.timer_slot = -1
        # Where in a request the reading is, and how much has come since its last piece of body.
        self._in_message = False
        self._in_head = True
        self._head_size = 0
        self._upgrading: Request | None = None
        # What the client had not taken when that was looked at last.
        self._unsent = 0
        # Whether a request ended in the piece that is being read: then most of it is not the next one's head.
        self._begins_anew = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Start the clock for the first request.

        Does what uvicorn's does, but does not ask the system for our own address, which nobody wants to know.
        """
        self.connections.add(self)
        self.transport = transport
        self.flow = _Flow(transport, self.pipeline)
        self.client = get_remote_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self._timers.schedule(self, monotonic() + self._limits.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock; the request that is being answered learns of it, though others wait behind it."""
        self._timers.cancel(self)
        super().connection_lost(exc)
        running, self._running = self._running, None
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.set()

    def data_received(self, data: bytes) -> None:
        """Refuse a head or trailers that are too long."""
        self._begins_anew = False
        super().data_received(data)
        if self._begins_anew or not self._in_message:
            self._await_another()
            return
        self._head_size += len(data)
        if self._head_size > (_MAX_HEAD if self._in_head else _MAX_TRAILERS):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _await_another(self) -> None:
        """See to it that a connection on which nothing is asked ends: uvicorn has stopped its clock."""
        last = self._last
        idle = last is not None and last.response_complete and not self.transport.is_closing()
        if idle and not self._in_message and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def pause_writing(self) -> None:
        """The client does not take its answers: give it a while."""
        super().pause_writing()
        self._watch_writing()

    def _watch_writing(self) -> None:
        if self.transport.get_write_buffer_size():
            self._unsent = sys.maxsize
            self._timers.schedule(self, monotonic() + self._limits.body_timeout)

    def on_response_complete(self) -> None:
        """An answer is written; what was the last one has to arrive, too."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more was asked for."""
        super().timeout_keep_alive_handler()
        self._watch_writing()

    def resume_writing(self) -> None:
        """The client reads again: the requests that waited for that may go on."""
        super().resume_writing()
        self._timers.cancel(self)
        running = self._running
        if running is not None and running.answered and not running.response_complete:
            running.end()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, and leave nothing behind for the garbage collector to find."""
        self._timers.cancel(self)
        self.connections.discard(self)
        assert self._upgrading is not None  # noqa: S101 - its head is complete
        socket = WebSocket(self._parts, self.server_state)
        socket.connection_made(self.transport)
        self.transport.set_protocol(socket)
        socket.shake_hands(self._upgrading, self._head)
        self.parser = self.cycle = self._running = None  # type: ignore[assignment]  # as `connection_lost` does

    def on_message_begin(self) -> None:
        """A request begins."""
        self._unset_keepalive_if_required()  # an answer in this turn may have started that clock
        super().on_message_begin()
        self._in_message = True
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
        """Its body begins. A polling request is taken out here: uvicorn deals with its exchange instead."""
        self._in_head = False
        self._timers.schedule(self, monotonic() + self._limits.body_timeout)
        request = self._request()
        if self.parser.should_upgrade() and self._should_upgrade():
            if self._last is not None and not self._last.response_complete:
                self._refuse(HTTPStatus.BAD_REQUEST)
                raise ValueError("an upgrade before the last request was answered")
            self._upgrading = request
            return
        if not self._parts.door.is_own_path(request.path):
            super().on_headers_complete()
            return
        outcome = self._parts.door.enter(request, PollingWire.name)
        if isinstance(outcome, Elsewhere):
            self.scope["state"][ELSEWHERE] = outcome
            super().on_headers_complete()
            return
        self._take_turn(
            Exchange(
                request,
                partial(self._polling, outcome=outcome),
                self,
                keep_alive=self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive(),
                expects=self.expect_100_continue,
            )
        )

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which is bounded elsewhere."""
        self._head_size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._begins_anew = True
        self._in_message = False
        if not self.flow.write_paused:
            self._timers.cancel(self)
        super().on_message_complete()

    def expire(self, now: float) -> float | None:
        """The request did not come in time, or the client takes nothing."""
        if self.flow.write_paused or self.transport.is_closing():
            before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
            if self._unsent < before:
                return now + self._limits.body_timeout
            self.transport.abort()
        elif self.flow.read_paused:
            return now + self._limits.header_timeout  # it is we who do not read
        elif not self._in_head and self._last is not None and self._last.response_complete:
            self.transport.close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        return None

    @property
    def _last(self) -> RequestResponseCycle | Exchange | None:
        """The newest request that has come, as uvicorn's type does not tell it."""
        return cast("RequestResponseCycle | Exchange | None", self.cycle)

    def _take_turn(self, exchange: Exchange) -> None:
        """Begin with a request, or queue it behind the one that is being answered."""
        before = self._last
        self.cycle = exchange  # type: ignore[assignment]  # it looks like uvicorn's
        if before is None or before.response_complete:
            self._begin(exchange)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]

    def _should_upgrade_to_ws(self) -> bool:
        """Whatever uvicorn is configured with."""
        return True

    def _start_asgi_task(self, cycle: object, app: Callable[..., object]) -> None:
        """Begin with a request that was queued; an exchange in a turn of its own, however many there are."""
        self.flow.resume_reading()
        if isinstance(cycle, Exchange):
            self.loop.call_soon(self._begin, cycle)
        else:
            super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _begin(self, exchange: Exchange) -> None:
        if not self.transport.is_closing():
            self._running = exchange
            exchange.start()

    def _request(self) -> Request:
        """The head of the request, in the shape that both transports have in common."""
        url = httptools.parse_url(self.url)
        return Request(
            method=self.parser.get_method().decode("ascii"),
            path=(url.path or b"/").decode("latin-1"),
            raw_query=(url.query or b"").decode("latin-1"),
            headers=fold_headers(self.headers),
            peer=self.client[0] if self.client else "",
            secure=self.scheme == "https",
            relayed="relayed" in self.app_state,
        )

    def _head(self) -> bytes:
        """The head of the request, as it came."""
        lines = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
        lines += [b"%b: %b" % field for field in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _refuse(self, status: HTTPStatus) -> None:
        if not self.transport.is_closing():
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.write(head.encode())
            self.transport.close()
            self._watch_writing()
