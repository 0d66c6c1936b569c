"""Reads, on a few threads that each have a connection of their own.

In write-ahead mode readers and the writer do not wait for each other; a read sees all that was committed
before it began.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from sqlalchemy import Connection

from hubbub.store.base import StoreUnavailable
from hubbub.store.transactions import FAILED, REFUSED, unavailable, unstorable

T = TypeVar("T")

THREADS: Final = 3


class Readers:
    """A few reading connections, opened when first needed."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hubbub-read")
        self._own = threading.local()
        self._opened: list[Connection] = []
        self._closed = False

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Run a query on a free connection. Raises `StoreUnavailable`; `Unstorable` for impossible values."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)

    def _run(self, query: Callable[[Connection], T]) -> T:
        try:
            return query(self._connection())
        except REFUSED as error:
            raise unstorable(error) from error
        except FAILED as error:
            self._discard()
            raise unavailable(error) from error

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connect()
            self._opened.append(connection)
        return connection

    def _discard(self) -> None:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            self._own.connection = None
            self._opened.remove(connection)
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Finish the reads that were begun and close the connections. Blocks."""
        self._closed = True
        self._threads.shutdown()
        for connection in self._opened:
            connection.close()
        self._opened.clear()
