"""A few connections, opened when they are needed and kept as long as they are good.

asyncpg's own pool spends a round trip on resetting each connection that is given back, and can wait for a
server that hangs. Nothing here waits but `take`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import asyncpg

Connection: TypeAlias = asyncpg.Connection

STATEMENT: Final = 3.0
"""Seconds that a statement, or opening a connection, may take."""

_SESSION: Final = {
    "application_name": "hubbub",
    # The server's own watch, should this process hang amid a transaction: others wait for its locks.
    "statement_timeout": "3s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
    "default_transaction_isolation": "read committed",
    # Every statement is to find its few rows by an index, whatever the parameters are and however young the
    # statistics. So one plan will do: making it takes longer than following it.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
}


class Pool:
    """At most `most` connections; `look` sees each new one, and may refuse it by raising."""

    def __init__(self, url: str, look: Callable[[Connection], Awaitable[None]], most: int) -> None:
        self._url = url
        self._look = look
        self._free: list[Connection] = []
        self._room = asyncio.Semaphore(most)
        self._opened: set[Connection] = set()
        self._closed = False

    async def take(self) -> Connection:
        """Return a connection, which must be given back. Raises what the driver raises."""
        await self._room.acquire()
        try:
            while self._free:
                connection = self._free.pop()
                if not connection.is_closed():
                    return connection
                self._opened.discard(connection)
            opening = asyncio.create_task(self._open())
        except BaseException:
            self._room.release()
            raise
        try:
            return await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(self._keep)
            raise

    def _keep(self, opening: asyncio.Task[Connection]) -> None:
        """Let others have a connection that nobody waits for any more, if it was opened."""
        if opening.cancelled() or opening.exception() is not None:
            self._room.release()
        else:
            self.give_back(opening.result(), is_good=not self._closed)

    async def _open(self) -> Connection:
        connection = await asyncpg.connect(
            self._url, timeout=STATEMENT, command_timeout=STATEMENT, server_settings=_SESSION
        )
        try:
            await self._look(connection)
        except BaseException:
            connection.terminate()
            raise
        self._opened.add(connection)
        return connection

    def give_back(self, connection: Connection, *, is_good: bool) -> None:
        """Let others have a connection, or nobody any more."""
        if is_good and not connection.is_closed() and not connection.is_in_transaction():
            self._free.append(connection)
        else:
            self._opened.discard(connection)
            connection.terminate()
        self._room.release()

    def close(self) -> None:
        """Cut all connections, those in use as well."""
        self._closed = True
        for connection in self._opened:
            connection.terminate()
        self._opened.clear()
