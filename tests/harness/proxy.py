"""A TCP proxy in front of a Unix socket: with TLS, or slow."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy(target: Path, *, tls: ssl.SSLContext | None = None, delay: float = 0.0) -> AsyncIterator[int]:
    """Listen on a port of the loopback; each piece of data takes `delay` seconds longer, either way."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        back, forth = await asyncio.open_unix_connection(target)
        try:
            await asyncio.gather(_pump(reader, forth, delay), _pump(back, writer, delay))
        finally:
            forth.transport.abort()
            writer.transport.abort()
            connections.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        left = list(connections)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
