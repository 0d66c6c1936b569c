"""Dialling another node: a connection on which a request may be written as if its client had come there."""

import asyncio
from typing import cast

from hubbub.engineio.greeting import REPLY, Caller, GreetingError
from hubbub.engineio.nodes import Nodes, Place

_TIMEOUT = 2.0
"""Seconds to connect and greet: nodes are near."""


class NoSuchNode(ConnectionRefusedError):
    """None of the living has that name: the session's node is gone, or a client made it up."""


class Dialling(asyncio.Protocol):
    """One connection, until the other side has proved that it is the node."""

    def __init__(self, key: bytes, peer: str) -> None:
        self._greeting = Caller(key, peer)
        self._buffer = b""
        self._transport: asyncio.Transport
        self.done: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._greeting.hello())

    def data_received(self, data: bytes) -> None:
        """Judge the reply."""
        self._buffer += data
        if len(self._buffer) < REPLY or self.done.done():
            return
        try:
            self._transport.write(self._greeting.answer(self._buffer[:REPLY]))
        except GreetingError as error:
            self.done.set_exception(ConnectionRefusedError(str(error)))
            return
        self.done.set_result(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side hung up."""
        if not self.done.done():
            self.done.set_exception(ConnectionResetError("the node hung up"))


async def dial(nodes: Nodes, name: str, peer: str) -> asyncio.Transport:
    """Connect to the node of that name, for a request of `peer`.

    Raises `NoSuchNode`, or another `OSError` (`TimeoutError` is one) when it cannot be reached.
    """
    async with asyncio.timeout(_TIMEOUT):
        place = await nodes.find(name)
        if place is None:
            raise NoSuchNode(name)
        return await _greet(place, peer)


async def _greet(place: Place, peer: str) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    transport, dialling = await loop.create_connection(
        lambda: Dialling(place.key, peer), place.host, place.port
    )
    try:
        return await dialling.done
    except BaseException:
        transport.abort()
        if dialling.done.done() and not dialling.done.cancelled():
            dialling.done.exception()
        raise
