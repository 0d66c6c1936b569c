"""What PostgreSQL and its driver raise, sorted by what it means to a transaction.

refused      a value that has no place: only the operation that holds it fails
passing      a deadlock, a lock waited for in vain, a clash with another node: try again
lost         the connection is of no more use; what was not committed was not kept
unavailable  the server cannot do its work now
"""

import asyncio
from typing import Final

import asyncpg
from asyncpg import exceptions as pg

from hubbub.store.base import StoreUnavailable, Unstorable

REFUSED: Final = (pg.DataError, pg.IntegrityConstraintViolationError)
"""A value that the server will not take."""

_RACED: Final = "messages_client_id"
"""The index that shows that another node was faster with the same client message id."""

PASSING: Final = (
    pg.TransactionRollbackError,
    pg.LockNotAvailableError,
    pg.QueryCanceledError,
    pg.InvalidCachedStatementError,  # another node has migrated
)
LOST: Final = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    pg.PostgresConnectionError,
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.IdleInTransactionSessionTimeoutError,
)
FAILED: Final = (*LOST, asyncpg.PostgresError)
"""Everything that is no bug of ours."""


def is_refused(error: BaseException) -> bool:
    """Whether a value is to blame: the server will not take it, or the driver cannot send it."""
    if isinstance(error, pg.UniqueViolationError) and error.constraint_name == _RACED:
        return False
    return isinstance(error, REFUSED) or (
        isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    )


def is_passing(error: Exception) -> bool:
    """Whether the same transaction may succeed when it is tried again at once."""
    return isinstance(error, PASSING) or (
        isinstance(error, pg.UniqueViolationError) and error.constraint_name == _RACED
    )


def is_lost(error: BaseException) -> bool:
    """Whether the connection is of no more use."""
    return isinstance(error, LOST) and not is_refused(error)


def unstorable(error: Exception) -> Unstorable:
    """Say which kind of value was refused."""
    return Unstorable(f"a value cannot be stored: {error}")


def unavailable(error: BaseException) -> StoreUnavailable:
    """Say how the database failed."""
    told = str(error) or "it did not answer in time"
    return StoreUnavailable(f"the database cannot be used now: {told.splitlines()[0]}")
