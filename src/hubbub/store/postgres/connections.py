"""Reads and transactions on a few connections, each within a deadline (docs/decisions/0013).

    read:   a free connection -> the query                             once more if the connection was lost
    write:  a free connection -> BEGIN, the change, COMMIT             again after a deadlock, a lost
                                       |                               connection, a clash with another node
                   COMMIT unanswered -> what does the server say of this transaction? never again blindly

A connection that failed is thrown away, and another one is opened when it is needed: a server that was away
needs no restart of this one. What was begun is finished, also when its caller has gone away.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import Final, TypeVar

import asyncpg

from hubbub.store.base import StoreError, StoreUnavailable
from hubbub.store.postgres.failures import FAILED, is_lost, is_passing, is_refused, unavailable, unstorable
from hubbub.store.postgres.history import History
from hubbub.store.postgres.pool import Connection, Pool

T = TypeVar("T")

OPERATION: Final = 5.0
"""Seconds that a read or a transaction may take in all, further attempts included."""

ATTEMPTS: Final = 4
"""How often a transaction is tried before its caller is told."""

SHAKEN: Final = 6.0
"""Seconds for which a failed write counts: a bit more than health looks away between two looks."""

_PAUSE: Final = 0.05
XID: Final = "SELECT pg_current_xact_id_if_assigned()::text"
STATUS: Final = "SELECT pg_xact_status($1::text::xid8)"

log: Final = logging.getLogger(__name__)


class Transaction:
    """A transaction that was begun. `xid` is its name, once a statement has told it."""

    __slots__ = ("connection", "xid")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.xid: str | None = None


class Connections:
    """At most `most` connections to one database. `history` looks at each new one."""

    def __init__(self, url: str, history: History, most: int) -> None:
        self._history = history
        self._pool = Pool(url, history.look, most)
        self._begun: set[asyncio.Task[object]] = set()
        self._failing = False
        self._failed_at = -inf
        self._closed = False

    @property
    def is_shaken(self) -> bool:
        """Whether a transaction has failed a moment ago."""
        return monotonic() - self._failed_at < SHAKEN

    async def close(self, deadline: float) -> None:
        """Let what was begun end, for `deadline` seconds at most, and close all connections."""
        self._closed = True
        if self._begun:
            await asyncio.wait(self._begun, timeout=deadline)
        for task in self._begun:
            task.cancel()
        self._pool.close()

    async def look(self) -> None:
        """Open a connection, and look at the history. Raises what the driver raises."""
        self._pool.give_back(await self._pool.take(), is_good=True)

    # Reading.

    async def read(self, query: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a query. Raises `StoreUnavailable`; `Unstorable` for impossible values."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            async with asyncio.timeout(OPERATION):
                try:
                    return await self._query(query)
                except FAILED as error:
                    if isinstance(error, TimeoutError) or not is_lost(error):
                        raise
                return await self._query(query)
        except FAILED as error:
            raise (unstorable(error) if is_refused(error) else unavailable(error)) from error

    async def _query(self, query: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask by a free connection. Whoever goes away meanwhile lets it answer: a query that is cut off costs
        its connection, and another one is far more work than an answer that nobody wants.
        """
        work = asyncio.create_task(self._ask(await self._pool.take(), query))
        self._begun.add(work)
        work.add_done_callback(self._finished)
        return await asyncio.shield(work)

    async def _ask(self, connection: Connection, query: Callable[[Connection], Awaitable[T]]) -> T:
        is_good = False
        try:
            async with asyncio.timeout(OPERATION):
                result = await query(connection)
            is_good = True
            return result
        except asyncpg.PostgresError as error:
            is_good = not is_lost(error)
            raise
        finally:
            self._pool.give_back(connection, is_good=is_good)

    # Writing.

    async def write(self, change: Callable[[Transaction], Awaitable[T]]) -> T:
        """Make a change in a transaction of its own; returns after the commit.

        Raises `StoreUnavailable`; `Unstorable` for values that cannot be stored; what the change raises.
        """
        try:
            return await self.attempt(change)
        except FAILED as error:
            raise unstorable(error) from error

    async def attempt(self, change: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do as `write` does, but raise what the database says of an impossible value (`is_refused`)."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        work = asyncio.create_task(self._within_time(change))
        self._begun.add(work)
        work.add_done_callback(self._finished)
        return await asyncio.shield(work)

    def _finished(self, work: "asyncio.Task[object]") -> None:
        self._begun.discard(work)
        if not work.cancelled():
            work.exception()  # perhaps nobody waits any more

    async def _within_time(self, change: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(OPERATION):
                result = await self._persist(change)
        except FAILED as error:
            if is_refused(error):
                raise
            raise self._failed(error) from error
        except StoreUnavailable as error:
            raise self._failed(error) from error
        if self._failing:
            self._failing = False
            log.info("the database can be used again")
        return result

    def _failed(self, error: BaseException) -> StoreUnavailable:
        told = error if isinstance(error, StoreUnavailable) else unavailable(error)
        self._failed_at = monotonic()
        if not self._failing:
            self._failing = True
            log.error("%s", told)
        return told

    async def _persist(self, change: Callable[[Transaction], Awaitable[T]]) -> T:
        """Try until it works, or is sure not to."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._transact(change)
            except FAILED as error:
                hopeless = isinstance(error, TimeoutError) or not (is_passing(error) or is_lost(error))
                if hopeless or attempt == ATTEMPTS:
                    raise
            # Nodes that have met must not meet again.
            await asyncio.sleep(random.uniform(0, _PAUSE * attempt))  # noqa: S311
        raise AssertionError  # the last attempt returns or raises

    async def _transact(self, change: Callable[[Transaction], Awaitable[T]]) -> T:
        connection = await self._pool.take()
        transaction = Transaction(connection)
        life = self._life
        is_good = False
        try:
            result = await self._change(transaction, change)
            try:
                await connection.execute("COMMIT")
            except FAILED as error:
                if not is_lost(error):
                    raise
                broken = error
            else:
                is_good = True
                return result
        except (StoreError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            is_good = not is_lost(error) and await self._roll_back(connection)
            raise
        finally:
            self._pool.give_back(connection, is_good=is_good)
        # A transaction without a name has changed nothing.
        if transaction.xid is not None and not await self._is_committed(transaction.xid, life):
            raise broken
        return result

    async def _change(self, transaction: Transaction, change: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do everything but the commit."""
        await transaction.connection.execute("BEGIN")
        result = await change(transaction)
        if transaction.xid is None:
            transaction.xid = await transaction.connection.fetchval(XID)
        return result

    async def _roll_back(self, connection: Connection) -> bool:
        """Undo what was begun; False when that fails, and the server does it with the connection's end."""
        try:
            await connection.execute("ROLLBACK")
        except FAILED:
            return False
        return True

    @property
    def _life(self) -> tuple[str, str]:
        """What the number of a transaction is good for: another history and a crash begin anew."""
        return self._history.epoch, self._history.life

    async def _is_committed(self, xid: str, life: tuple[str, str]) -> bool:
        """Ask what became of a transaction whose COMMIT was not answered, in the `life` in which it was made.

        Raises `StoreUnavailable` when nobody can tell any more, `TimeoutError` (by the caller's deadline)
        while nobody can.
        """
        while True:
            try:
                status = await self._query(lambda connection: connection.fetchval(STATUS, xid))
            except FAILED as error:
                log.info("a commit was not answered, and what became of it not yet either: %s", error)
                status = "unknown"
            if self._life != life:
                # The number may be another transaction's by now.
                raise StoreUnavailable("the database crashed or was replaced during a commit")
            if status in {"committed", "aborted"}:
                return bool(status == "committed")
            await asyncio.sleep(_PAUSE)
