"""One transaction for a batch of operations, on the one writing connection.

First all operations of a function are done together. Should one of them hold a value that the database
refuses, the transaction is rolled back and done again one by one, each behind a savepoint: only the guilty
one fails. When the database itself fails, the connection is thrown away, and the next batch opens a new one:
a full disk or a lock that went away needs no restart.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Final, TypeAlias

from sqlalchemy import Connection
from sqlalchemy import exc as sql

from hubbub.store.base import StoreError, StoreUnavailable, Unstorable
from hubbub.store.commit import Batch, Group

Call: TypeAlias = Callable[[Connection], object]

log: Final = logging.getLogger(__name__)

REFUSED: Final = (
    UnicodeEncodeError,
    OverflowError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sql.IntegrityError,
    sql.DataError,
    sql.InterfaceError,
    sql.ProgrammingError,
)
"""What the driver raises for a value it cannot take, raw and as SQLAlchemy wraps it."""

SHAKEN: Final = 6.0
"""Seconds for which a failure counts, whatever succeeds meanwhile: on a full disk a small change may fit.

A bit more than health looks away between two looks.
"""

FAILED: Final = (sqlite3.Error, sql.SQLAlchemyError, OSError)
"""What the driver raises otherwise: the database cannot do its work now."""


def call(connection: Connection, calls: Sequence[Call]) -> list[object]:
    """Do operations that are functions of the connection, each behind its savepoint."""
    return [_call(connection, one) for one in calls]


def _call(connection: Connection, one: Call) -> object:
    try:
        with connection.begin_nested():
            return one(connection)
    except StoreError as error:
        return error
    except REFUSED as error:
        return unstorable(error)


def unstorable(error: Exception) -> Unstorable:
    """Say which kind of value the database refused."""
    return Unstorable(f"a value cannot be stored: {_told(error)}")


def unavailable(error: Exception) -> StoreUnavailable:
    """Say how the database failed."""
    return StoreUnavailable(f"the database cannot be used now: {_told(error)}")


def _told(error: Exception) -> str:
    return str(error.orig if isinstance(error, sql.DBAPIError) else error)


class WritingConnection:
    """The `Transactions` of a database that has one writer."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._failing = False
        self._failed_at = -inf

    @property
    def is_shaken(self) -> bool:
        """Whether a transaction has failed a moment ago. May be asked by any thread."""
        return monotonic() - self._failed_at < SHAKEN

    def run(self, batch: Batch) -> None:
        """Do a batch in one transaction. Raises `StoreUnavailable` when nothing of it was kept."""
        try:
            try:
                self._transact(batch, _together)
            except REFUSED:
                self._transact(batch, _one_by_one)
        except FAILED as error:
            self._discard()
            self._failed_at = monotonic()
            if not self._failing:
                self._failing = True
                log.error("%s", unavailable(error))  # noqa: TRY400 the message says it; our code is not at fault
            raise unavailable(error) from error
        if self._failing:
            self._failing = False
            log.info("the database can be used again")

    def _transact(self, batch: Batch, do: Callable[[Connection, Group], None]) -> None:
        if self._connection is None:
            self._connection = self._connect()
        with self._connection.begin():
            for group in batch:
                do(self._connection, group)

    def _discard(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Let go of the database; the last connection copies the write-ahead log into it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _together(connection: Connection, group: Group) -> None:
    group.outcomes = group.apply(connection, group.payloads)


def _one_by_one(connection: Connection, group: Group) -> None:
    outcomes: list[object] = []
    for payload in group.payloads:
        try:
            with connection.begin_nested():
                outcomes += group.apply(connection, [payload])
        except REFUSED as error:
            outcomes.append(unstorable(error))
    group.outcomes = outcomes
