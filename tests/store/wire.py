"""A wire to PostgreSQL that breaks at a COMMIT: before it arrives, or when it is done and not answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

PORT = 5432
CHUNK = 65_536


class Wire:
    """A socket in `folder` that passes everything on to the server's in `server`.

    Set `cut` to break the connection at the next COMMIT, once. With `stays_down` nobody gets through then.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder = folder
        self.cut: Literal["before", "after"] | None = None
        self.stays_down = False
        self.cuts = 0
        self._server = server / f".s.PGSQL.{PORT}"
        self._down = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        """Let connections through for the block."""
        listener = await asyncio.start_unix_server(self._accept, self.folder / f".s.PGSQL.{PORT}")
        try:
            yield self
        finally:
            listener.close()
            for writer in self._writers:
                writer.transport.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self._down:
            writer.transport.abort()
            return
        back, forth = await asyncio.open_unix_connection(self._server)
        self._writers |= {writer, forth}
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._forth(reader, forth, back, writer), self._back(back, writer))
        writer.transport.abort()
        forth.transport.abort()

    async def _forth(
        self,
        reader: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(CHUNK):
            if self.cut is not None and b"COMMIT\0" in data:
                when, self.cut = self.cut, None
                self._down = self.stays_down
                self.cuts += 1
                writer.transport.abort()
                if when == "after":
                    forth.write(data)
                    await forth.drain()
                    # The server has done what came before when it reads that the client is gone.
                    forth.write_eof()
                raise ConnectionError
            forth.write(data)
            await forth.drain()
        raise ConnectionError

    async def _back(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await back.read(CHUNK):
            writer.write(data)
            await writer.drain()
        raise ConnectionError

    def mend(self) -> None:
        """Let connections through again."""
        self._down = False
