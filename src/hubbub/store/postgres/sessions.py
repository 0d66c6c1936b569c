"""Recovery sessions, on PostgreSQL. Sessions are saved and forgotten in the order of the calls."""

from collections.abc import Iterator, Sequence
from typing import Final

from hubbub.store import records
from hubbub.store.base import StoreError
from hubbub.store.postgres.connections import Transaction
from hubbub.store.postgres.pool import Connection
from hubbub.store.postgres.selecting import Selection, fields_of
from hubbub.store.queries import sessions
from hubbub.store.queries.sessions import Change

BY_ID: Final = Selection(sessions.BY_ID)
BY_PID: Final = Selection(sessions.BY_PID)
TOTALS: Final = Selection(sessions.TOTALS)
FORGET: Final = "DELETE FROM sessions WHERE id = ANY($1::text[])"
RENEW: Final = """
INSERT INTO sessions (id, user_id, socket_id, token_hash, spent_hash, pid_hash, positions, connected_at,
    last_activity, expires_at, last_told, taken_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[], $7::text[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::bigint[])
ON CONFLICT (id) DO UPDATE SET
    user_id = excluded.user_id, socket_id = excluded.socket_id, token_hash = excluded.token_hash,
    spent_hash = excluded.spent_hash, pid_hash = excluded.pid_hash, positions = excluded.positions,
    connected_at = excluded.connected_at, last_activity = excluded.last_activity,
    expires_at = excluded.expires_at, last_told = excluded.last_told, taken_at = excluded.taken_at
"""
SAVE: Final = (
    RENEW
    + """
WHERE sessions.token_hash IS NOT DISTINCT FROM excluded.token_hash AND sessions.taken_at <= excluded.taken_at
"""
)
"""What another node has gone on with stays as it is."""

DELETE_EXPIRED: Final = """
WITH old_sessions AS (DELETE FROM sessions WHERE expires_at <= $1 RETURNING 1),
    old_tokens AS (DELETE FROM refresh_tokens WHERE expires_at <= $1 RETURNING 1)
SELECT (SELECT count(*) FROM old_sessions) + (SELECT count(*) FROM old_tokens)
"""


def keys(change: Change) -> Iterator[str]:
    """What two batches may not have in common."""
    if change.session is not None:
        yield change.session.id
    if change.forgotten is not None:
        yield change.forgotten


async def change(transaction: Transaction, batch: Sequence[Change]) -> list[StoreError | None]:
    """Store and forget sessions by their ids."""
    forgotten, renewed, others = sessions.fold(batch)
    if forgotten:
        await transaction.connection.execute(FORGET, forgotten)
    for statement, rows in ((RENEW, renewed), (SAVE, others)):
        if rows:
            await transaction.connection.execute(statement, *map(list, zip(*rows, strict=True)))
    return [None] * len(batch)


async def find(connection: Connection, session_id: str, now: int) -> records.RecoverySession | None:
    """Return an unexpired session."""
    row = await BY_ID.first(connection, id=session_id, now=now)
    return None if row is None else sessions.session_of(fields_of(row))


async def find_by_pid(connection: Connection, pid_hash: bytes, now: int) -> records.RecoverySession | None:
    """Return the unexpired session whose private id has this hash."""
    row = await BY_PID.first(connection, hash=pid_hash, now=now)
    return None if row is None else sessions.session_of(fields_of(row))


async def delete_expired(transaction: Transaction, now: int) -> int:
    """Forget sessions and refresh tokens that have expired; return how many."""
    return int(await transaction.connection.fetchval(DELETE_EXPIRED, now))


async def totals(connection: Connection, now: int) -> records.SessionTotals:
    """Return figures over all unexpired sessions."""
    row = await TOTALS.first(connection, now=now)
    assert row is not None  # noqa: S101 - an aggregate has a row
    count, tokens, total_age = row
    return records.SessionTotals(sessions=count, tokens=tokens, total_age=int(total_age or 0))
