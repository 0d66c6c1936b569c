"""Recovery sessions."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Connection, LargeBinary, RowMapping, bindparam, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from hubbub.store import records
from hubbub.store.base import StoreError
from hubbub.store.schema import sessions

FIELDS: Final = tuple(sessions.c[name] for name in records.RecoverySession.__struct_fields__)
_UNEXPIRED: Final = sessions.c.expires_at > bindparam("now")
_HASH: Final = bindparam("hash", type_=LargeBinary)
BY_TOKEN: Final = select(*FIELDS).where(
    _UNEXPIRED, or_(sessions.c.token_hash == _HASH, sessions.c.spent_hash == _HASH)
)
BY_PID: Final = select(*FIELDS).where(_UNEXPIRED, sessions.c.pid_hash == _HASH)
TOTALS: Final = select(
    func.count(),
    func.count(sessions.c.token_hash),
    func.sum(bindparam("now", type_=BigInteger) - sessions.c.connected_at),
).where(_UNEXPIRED)

_positions = msgspec.json.Decoder(dict[str, int])


def _upsert(dialect: str) -> sqlite.Insert | postgresql.Insert:
    insert = sqlite.insert(sessions) if dialect == "sqlite" else postgresql.insert(sessions)
    changes = {field.name: insert.excluded[field.name] for field in FIELDS if field.name != "id"}
    return insert.on_conflict_do_update(index_elements=["id"], set_=changes)


UPSERT: Final = {dialect: _upsert(dialect) for dialect in ("sqlite", "postgresql")}


def save_sessions(
    connection: Connection, batch: Sequence[records.RecoverySession]
) -> list[StoreError | None]:
    """Store or replace sessions by their ids; of one that comes twice the last counts."""
    latest = {session.id: session for session in batch}
    rows = [_row(session) for session in latest.values()]
    connection.execute(UPSERT[connection.dialect.name], rows)
    return [None] * len(batch)


def _row(session: records.RecoverySession) -> dict[str, object]:
    row = {field: getattr(session, field) for field in session.__struct_fields__}
    return {**row, "positions": msgspec.json.encode(session.positions).decode()}


def _session(row: RowMapping) -> records.RecoverySession:
    return records.RecoverySession(**{**row, "positions": _positions.decode(row["positions"])})


def find_by_token(connection: Connection, token_hash: bytes, now: int) -> records.RecoverySession | None:
    """Return the unexpired session whose current or spent token has this hash."""
    row = connection.execute(BY_TOKEN, {"hash": token_hash, "now": now}).mappings().first()
    return None if row is None else _session(row)


def find_by_pid(connection: Connection, pid_hash: bytes, now: int) -> records.RecoverySession | None:
    """Return the unexpired session whose private id has this hash."""
    row = connection.execute(BY_PID, {"hash": pid_hash, "now": now}).mappings().first()
    return None if row is None else _session(row)


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
