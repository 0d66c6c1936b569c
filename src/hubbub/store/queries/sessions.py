"""Recovery sessions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Connection, LargeBinary, RowMapping, bindparam, delete, func, select

from hubbub.store import records
from hubbub.store.base import StoreError
from hubbub.store.bulk import Bulk, Row
from hubbub.store.schema import sessions

FIELDS: Final = tuple(sessions.c[name] for name in records.RecoverySession.__struct_fields__)
_UNEXPIRED: Final = sessions.c.expires_at > bindparam("now")
_HASH: Final = bindparam("hash", type_=LargeBinary)
BY_ID: Final = select(*FIELDS).where(_UNEXPIRED, sessions.c.id == bindparam("id"))
BY_PID: Final = select(*FIELDS).where(_UNEXPIRED, sessions.c.pid_hash == _HASH)
TOTALS: Final = select(
    func.count(),
    func.count(sessions.c.token_hash),
    func.sum(bindparam("now", type_=BigInteger) - sessions.c.connected_at),
).where(_UNEXPIRED)

_positions = msgspec.json.Decoder(dict[str, int])
_last_told = msgspec.json.Decoder(records.LastTold)


_SAVE: Final = """
    WITH k(id, user_id, socket_id, token_hash, spent_hash, pid_hash, positions, connected_at, last_activity,
        expires_at, last_told, taken_at) AS (VALUES :rows)
    INSERT INTO sessions (id, user_id, socket_id, token_hash, spent_hash, pid_hash, positions, connected_at,
        last_activity, expires_at, last_told, taken_at)
    SELECT * FROM k WHERE id <> ''
    ON CONFLICT (id) DO UPDATE SET
        user_id = excluded.user_id, socket_id = excluded.socket_id, token_hash = excluded.token_hash,
        spent_hash = excluded.spent_hash, pid_hash = excluded.pid_hash, positions = excluded.positions,
        connected_at = excluded.connected_at, last_activity = excluded.last_activity,
        expires_at = excluded.expires_at, last_told = excluded.last_told, taken_at = excluded.taken_at
    """
_UNLESS_TAKEN: Final = """
    WHERE sessions.token_hash IS excluded.token_hash AND sessions.taken_at <= excluded.taken_at
    """
RENEW: Final = Bulk(_SAVE, 12)
SAVE: Final = Bulk(_SAVE + _UNLESS_TAKEN, 12)


FORGET: Final = Bulk("WITH k(id) AS (VALUES :rows) DELETE FROM sessions WHERE id IN (SELECT id FROM k)", 1)


class Change(msgspec.Struct, frozen=True):
    """A session to store, and the id of one to forget in the same transaction; whether it has a new token."""

    session: records.RecoverySession | None
    forgotten: str | None
    renews: bool = False


class Folded(NamedTuple):
    """A batch as rows to write: ids to forget, then sessions whose token is a new one, then the others."""

    forgotten: list[str]
    renewed: list[Row]
    others: list[Row]


def fold(batch: Iterable[Change]) -> Folded:
    """Of a session that comes several times the last word counts. Ids are in order."""
    latest: dict[str, records.RecoverySession] = {}
    renewed: set[str] = set()
    forgotten: set[str] = set()
    for change in batch:
        if change.session is not None:
            latest[change.session.id] = change.session
            if change.renews:
                renewed.add(change.session.id)
        if change.forgotten is not None:
            latest.pop(change.forgotten, None)
            forgotten.add(change.forgotten)
    return Folded(
        sorted(forgotten),
        [row_of(latest[id_]) for id_ in sorted(latest) if id_ in renewed],
        [row_of(latest[id_]) for id_ in sorted(latest) if id_ not in renewed],
    )


def save_sessions(connection: Connection, batch: Sequence[Change]) -> list[StoreError | None]:
    """Store and forget sessions by their ids, raw on SQLite."""
    forgotten, renewed, others = fold(batch)
    cursor = connection.connection.cursor()
    try:
        FORGET.run(cursor, [(id_,) for id_ in forgotten])
        RENEW.run(cursor, renewed)
        SAVE.run(cursor, others)
    finally:
        cursor.close()
    return [None] * len(batch)


def row_of(session: records.RecoverySession) -> Row:
    """A session as it is stored, in the order of the columns."""
    return (
        session.id,
        session.user_id,
        session.socket_id,
        session.token_hash,
        session.spent_hash,
        session.pid_hash,
        positions_text(session),
        session.connected_at,
        session.last_activity,
        session.expires_at,
        None if session.last_told is None else msgspec.json.encode(session.last_told).decode(),
        session.taken_at,
    )


def positions_text(session: records.RecoverySession) -> str:
    """A session's positions as they are stored."""
    return msgspec.json.encode(session.positions).decode()


def session_of(row: RowMapping | Mapping[str, Any]) -> records.RecoverySession:
    """A row with the columns `FIELDS`."""
    told = row["last_told"]
    parsed = {
        "positions": _positions.decode(row["positions"]),
        "last_told": None if told is None else _last_told.decode(told),
    }
    return records.RecoverySession(**{**row, **parsed})


def find(connection: Connection, session_id: str, now: int) -> records.RecoverySession | None:
    """Return an unexpired session."""
    row = connection.execute(BY_ID, {"id": session_id, "now": now}).mappings().first()
    return None if row is None else session_of(row)


def find_by_pid(connection: Connection, pid_hash: bytes, now: int) -> records.RecoverySession | None:
    """Return the unexpired session whose private id has this hash."""
    row = connection.execute(BY_PID, {"hash": pid_hash, "now": now}).mappings().first()
    return None if row is None else session_of(row)


def delete_session(connection: Connection, session_id: str) -> None:
    """Forget a session."""
    connection.execute(delete(sessions).where(sessions.c.id == session_id))


def delete_expired(connection: Connection, now: int) -> int:
    """Forget sessions that have expired; return how many."""
    return connection.execute(delete(sessions).where(sessions.c.expires_at <= now)).rowcount


def totals(connection: Connection, now: int) -> records.SessionTotals:
    """Return figures over all unexpired sessions."""
    count, tokens, total_age = connection.execute(TOTALS, {"now": now}).one()
    return records.SessionTotals(sessions=count, tokens=tokens, total_age=int(total_age or 0))
