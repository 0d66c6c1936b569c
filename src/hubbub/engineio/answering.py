"""The inner door: connections of other nodes, each with one request that is passed on.

Once the caller has proved that it is a node, the connection is an ordinary HTTP connection of this process,
and its peer is the client's. So the same origins, addresses, sizes and times hold; only, nothing that came
this way is passed on again.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import cast

from hubbub.engineio.greeting import Answerer, GreetingError
from hubbub.engineio.timers import Timers

RELAYED = {"relayed": True}
"""The ASGI state of requests that came through the inner door."""

_GREETING_TIMEOUT = 5.0

MakeHttp = Callable[[dict[str, object]], asyncio.Protocol]
"""Makes the HTTP protocol of one connection, given its ASGI state."""


class Answering(asyncio.Protocol):
    """One connection, until the caller has proved who it is."""

    def __init__(self, key: bytes, timers: Timers, make_http: MakeHttp) -> None:
        self._greeting = Answerer(key)
        self._timers = timers
        self._make_http = make_http
        self._transport: asyncio.Transport
        self.timer_slot = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody dialled."""
        self._transport = cast("asyncio.Transport", transport)
        self._timers.schedule(self, monotonic() + _GREETING_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has gone."""
        self._timers.cancel(self)

    def data_received(self, data: bytes) -> None:
        """Greet; then hand the connection over."""
        try:
            said = self._greeting.feed(data)
        except GreetingError:
            self._transport.abort()
            return
        if said:
            self._transport.write(said)
        if self._greeting.peer is not None:
            self._timers.cancel(self)
            self._hand_over(self._greeting.peer)

    def expire(self, now: float) -> float | None:
        """The greeting did not come in time."""
        self._transport.abort()
        return None

    def _hand_over(self, peer: str) -> None:
        http = self._make_http(dict(RELAYED))
        self._transport.set_protocol(http)
        http.connection_made(RelayedTransport(self._transport, peer))
        rest = self._greeting.rest()
        if rest:
            http.data_received(rest)


class RelayedTransport(asyncio.Transport):
    """A connection whose peer is the one that the caller named."""

    def __init__(self, inner: asyncio.Transport, peer: str) -> None:
        super().__init__()
        self._inner = inner
        self._peer = peer
        self.is_closing = inner.is_closing  # type: ignore[method-assign]
        self.close = inner.close  # type: ignore[method-assign]
        self.abort = inner.abort  # type: ignore[method-assign]
        self.write = inner.write  # type: ignore[method-assign]
        self.set_protocol = inner.set_protocol  # type: ignore[method-assign]
        self.get_protocol = inner.get_protocol  # type: ignore[method-assign]
        self.pause_reading = inner.pause_reading  # type: ignore[method-assign]
        self.resume_reading = inner.resume_reading  # type: ignore[method-assign]
        self.is_reading = inner.is_reading  # type: ignore[method-assign]
        self.get_write_buffer_size = inner.get_write_buffer_size  # type: ignore[method-assign]
        self.set_write_buffer_limits = inner.set_write_buffer_limits  # type: ignore[method-assign]

    def get_extra_info(self, name: str, default: object = None) -> object:
        """As of the connection, but for the peer; its socket would tell another one."""
        if name == "peername":
            return (self._peer, 0) if self._peer else default
        return default if name == "socket" else self._inner.get_extra_info(name, default)
