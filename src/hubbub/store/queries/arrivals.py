"""Users who come and go, many at a time: the hot paths of a storm of connections, on SQLite."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from hubbub.store.base import StoreError
from hubbub.store.bulk import Bulk
from hubbub.store.queries import users
from hubbub.store.records import User

STORED: Final = Bulk(
    """
    WITH k(id) AS (VALUES :rows)
    SELECT json_group_array(
        json_array(u.id, u.username, u.email, u.role, u.active, u.created_at, u.last_seen))
    FROM k CROSS JOIN users u ON u.id = k.id
    """,
    1,
)
CONTACTS: Final = Bulk(
    """
    WITH k(id) AS (VALUES :rows)
    SELECT k.id, (
        SELECT json_group_array(DISTINCT theirs.user_id)
        FROM members mine JOIN members theirs ON theirs.chat_id = mine.chat_id
        WHERE mine.user_id = k.id)
    FROM k WHERE k.id IS NOT NULL
    """,
    1,
)
INSERT: Final = Bulk(
    """
    WITH k(id, username, username_key, email, email_key, role, active, created_at, last_seen)
    AS (VALUES :rows)
    INSERT INTO users (id, username, username_key, email, email_key, role, active, created_at, last_seen)
    SELECT * FROM k WHERE id <> ''
    """,
    9,
)
SEEN: Final = Bulk(
    """
    WITH k(id, last_seen) AS (VALUES :rows)
    UPDATE users SET last_seen = k.last_seen FROM k WHERE users.id = k.id
    """,
    2,
)
COUNT_USERS: Final = "UPDATE counters SET users = users + ? WHERE id = 1"

_ids = msgspec.json.Decoder(list[str])
_stored = msgspec.json.Decoder(list[tuple[str, str, str | None, str, int, int, int | None]])


class Seen(msgspec.Struct, frozen=True):
    """A user was last connected at `now`."""

    user_id: str
    now: int


def find_users(connection: Connection, user_ids: Sequence[str]) -> list[User | None]:
    """Return the stored user of each of these ids."""
    cursor = connection.connection.cursor()
    try:
        found = _find(cursor, dict.fromkeys(user_ids))
    finally:
        cursor.close()
    return [found.get(user_id) for user_id in user_ids]


def contacts(connection: Connection, user_ids: Sequence[str]) -> list[set[str]]:
    """Return the ids of all who share a chat with each of these users, the user included."""
    cursor = connection.connection.cursor()
    try:
        found = dict(CONTACTS.rows(cursor, [(user_id,) for user_id in dict.fromkeys(user_ids)]))
    finally:
        cursor.close()
    return [{user_id, *_ids.decode(found[user_id])} for user_id in user_ids]


def ensure_users(connection: Connection, batch: Sequence[User]) -> list[User | StoreError]:
    """Return the stored user for each of these, created or given its new names and role as needed."""
    cursor = connection.connection.cursor()
    try:
        found = _find(cursor, {user.id: None for user in batch})
        new = {user.id: user for user in reversed(batch) if user.id not in found}
        INSERT.run(cursor, [users.row_of(user) for user in new.values()])
        cursor.execute(COUNT_USERS, (len(new),))
    finally:
        cursor.close()
    found |= new
    return [users.take_over(connection, user, found) for user in batch]


def _find(cursor: DBAPICursor, user_ids: Iterable[str]) -> dict[str, User]:
    found = {}
    for answer in STORED.ask(cursor, [(user_id,) for user_id in user_ids]):
        for id_, username, email, role, active, created_at, last_seen in _stored.decode(answer):
            found[id_] = User(
                id=id_,
                username=username,
                email=email,
                role=role,
                active=bool(active),
                created_at=created_at,
                last_seen=last_seen,
            )
    return found


def set_last_seen(connection: Connection, batch: Sequence[Seen]) -> list[StoreError | None]:
    """Remember when users were last connected."""
    latest = {seen.user_id: seen.now for seen in batch}
    cursor = connection.connection.cursor()
    try:
        SEEN.run(cursor, list(latest.items()))
    finally:
        cursor.close()
    return [None] * len(batch)
