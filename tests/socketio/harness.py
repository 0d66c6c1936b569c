"""A server over real connections, and a client of it that speaks in packets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hubbub.socketio import Server
from tests.socketio.fakes import eventually


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    """Serve on a free port of the loopback; yields the address, `127.0.0.1:PORT`."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        server.asgi,
        ws="none",
        http=server.http,
        lifespan="off",
        log_level="warning",
        proxy_headers=False,
    )
    web = uvicorn.Server(config)
    running = asyncio.create_task(web.serve(sockets=[listener]))
    await eventually(lambda: web.started)
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await server.close_all(timeout=1.0)
        web.should_exit = True
        await running


class RawClient:
    """A WebSocket client without any Socket.IO library: packets in, packets out, heartbeats answered."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: ClientConnection

    async def __aenter__(self) -> Self:
        url = f"ws://{self._address}/socket.io/?EIO=4&transport=websocket"
        self._socket = await connect(url, compression=None, max_size=None)
        await self._socket.recv()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()

    async def send(self, *packets: str | bytes) -> None:
        """Send packets; once the connection is closed they go nowhere."""
        try:
            for packet in packets:
                await self._socket.send("4" + packet if isinstance(packet, str) else packet)
        except ConnectionClosed:
            """What it was closed with is what `closed` is for."""

    async def next(self) -> str | bytes:
        """The next packet of the server."""
        async with asyncio.timeout(5):
            while (message := await self._socket.recv()) == "2":
                await self._socket.send("3")
        return message[1:] if isinstance(message, str) else message

    async def ask(self, packet: str) -> str | bytes:
        """Send a packet; returns the next packet of the server."""
        await self.send(packet)
        return await self.next()

    async def closed(self) -> tuple[int, str]:
        """Wait until the server closed the connection, whatever it says before; returns code and reason."""
        async with asyncio.timeout(5):
            try:
                while True:
                    await self._socket.recv()
            except ConnectionClosed as end:
                if end.rcvd is None:
                    return 1006, ""
                return end.rcvd.code, end.rcvd.reason
