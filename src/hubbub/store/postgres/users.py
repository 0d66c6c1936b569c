"""Users and refresh tokens, on PostgreSQL."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from asyncpg import UniqueViolationError

from hubbub.store import records
from hubbub.store.base import Conflict, StoreError
from hubbub.store.postgres.connections import Transaction
from hubbub.store.postgres.pool import Connection
from hubbub.store.postgres.selecting import Selection, fields_of
from hubbub.store.queries import users

USER: Final = Selection(users.USER)
BY_USERNAME: Final = Selection(users.BY_USERNAME)
BY_EMAIL: Final = Selection(users.BY_EMAIL)
NAMED: Final = Selection(users.NAMED)
INSERT: Final = """
INSERT INTO users (id, username, username_key, email, email_key, role, active, created_at, last_seen,
    password_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
COUNT: Final = "UPDATE counters SET users = users + $1 WHERE id = 1 + pg_backend_pid() % 16"
COUNTED: Final = "SELECT sum(users)::bigint FROM counters"
LOCK: Final = """
SELECT id, username, email, role, active, created_at, last_seen FROM users WHERE id = ANY($1::text[])
ORDER BY id FOR NO KEY UPDATE
"""
ARRIVE: Final = """
INSERT INTO users (id, username, username_key, email, email_key, role, active, created_at, last_seen)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[],
    $8::bigint[], $9::bigint[])
ON CONFLICT (id) DO NOTHING RETURNING id, username, email, role, active, created_at, last_seen
"""
RENAME: Final = """
UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, role = $6 WHERE id = $1
"""
SET_ROLE: Final = "UPDATE users SET role = $2 WHERE id = $1"
SEEN: Final = """
UPDATE users SET last_seen = k.last_seen FROM unnest($1::text[], $2::bigint[]) AS k(id, last_seen)
WHERE users.id = k.id
"""
SET_PASSWORD: Final = "UPDATE users SET password_hash = $2 WHERE id = $1"  # noqa: S105 a statement
SET_ACTIVE: Final = "UPDATE users SET active = $2 WHERE id = $1 RETURNING 1"
LIST: Final = """
SELECT id, username, email, role, active, created_at, last_seen FROM users ORDER BY username, id LIMIT $1
"""
LIST_AFTER: Final = """
SELECT id, username, email, role, active, created_at, last_seen FROM users
WHERE (username, id) > (SELECT username, id FROM users WHERE id = $2)
ORDER BY username, id LIMIT $1
"""
SAVE_TOKEN: Final = "INSERT INTO refresh_tokens (token_hash, user_id, expires_at) VALUES ($1, $2, $3)"  # noqa: S105 as above
TAKE_TOKEN: Final = "DELETE FROM refresh_tokens WHERE token_hash = $1 RETURNING user_id, expires_at"  # noqa: S105 as above
DROP_TOKENS: Final = "DELETE FROM refresh_tokens WHERE user_id = $1"


class Seen(msgspec.Struct, frozen=True):
    """A user was last connected at `now`."""

    user_id: str
    now: int


def _user(row: records.Fields) -> records.User:
    return records.User(**{field.name: row[field.name] for field in users.FIELDS})


def _taken(error: UniqueViolationError) -> Conflict:
    """Name what was taken, by the index that says so."""
    told = error.constraint_name or ""
    return Conflict(next((name for name in ("username", "email") if name in told), "id"))


async def create_user(transaction: Transaction, user: records.User, password_hash: str | None) -> None:
    """Store a new user. One with a password has a name that nobody has, not even a user of foreign tokens."""
    connection = transaction.connection
    key = user.username.casefold()
    if password_hash is not None and await NAMED.first(connection, key=key) is not None:
        raise Conflict("username")
    try:
        await connection.execute(INSERT, *users.row_of(user), password_hash)
    except UniqueViolationError as error:
        raise _taken(error) from error
    await connection.execute(COUNT, 1)


async def find_user(connection: Connection, user_id: str) -> records.User | None:
    """Return a user."""
    row = await USER.first(connection, id=user_id)
    return None if row is None else _user(row)


def user_key(user: records.User) -> Iterator[str]:
    """What two batches may not have in common."""
    yield user.id


async def ensure_users(
    transaction: Transaction, batch: Sequence[records.User]
) -> list[records.User | StoreError]:
    """Return the stored user for each of these, created or given its new names and role as needed."""
    connection = transaction.connection
    ids = sorted({user.id for user in batch})
    found = {row["id"]: _user(row) for row in await connection.fetch(LOCK, ids)}
    new = {user.id: user for user in reversed(batch) if user.id not in found}
    if new:
        columns = zip(*(users.row_of(new[id_]) for id_ in sorted(new)), strict=True)
        made = await connection.fetch(ARRIVE, *(list(column) for column in columns))
        found |= {row["id"]: _user(row) for row in made}
        if len(made) < len(new):  # another node was faster
            found |= {row["id"]: _user(row) for row in await connection.fetch(LOCK, ids)}
        await connection.execute(COUNT, len(made))
    return [await _take_over(connection, user, found) for user in batch]


async def _take_over(
    connection: Connection, user: records.User, stored: dict[str, records.User]
) -> records.User:
    """Give the stored user the names and the role of `user`; return it as it then is.

    A user with a password keeps its names where the new ones belong to another.
    """
    before = stored[user.id]
    if users.is_as_stored(user, before):
        return before
    after = msgspec.structs.replace(before, username=user.username, email=user.email, role=user.role)
    await connection.execute("SAVEPOINT names")
    try:
        await connection.execute(RENAME, user.id, *users.names_of(user).values(), user.role)
    except UniqueViolationError:
        await connection.execute("ROLLBACK TO names")
        after = msgspec.structs.replace(before, role=user.role)
        await connection.execute(SET_ROLE, user.id, user.role)
    stored[user.id] = after
    return after


def seen_key(seen: Seen) -> Iterator[str]:
    """What two batches may not have in common."""
    yield seen.user_id


async def set_last_seen(transaction: Transaction, batch: Sequence[Seen]) -> list[StoreError | None]:
    """Remember when users were last connected."""
    latest = {seen.user_id: seen.now for seen in batch}
    await transaction.connection.fetch(LOCK, sorted(latest))
    await transaction.connection.execute(SEEN, list(latest), list(latest.values()))
    return [None] * len(batch)


async def find_credentials(connection: Connection, login: str) -> records.Credentials | None:
    """Return the user with a password who has that username, or else that email."""
    for query in (BY_USERNAME, BY_EMAIL):
        row = await query.first(connection, key=login.casefold())
        if row is not None:
            return records.Credentials(user=_user(row), password_hash=fields_of(row)["password_hash"])
    return None


async def set_password(transaction: Transaction, user_id: str, password_hash: str) -> None:
    """Replace a user's password hash."""
    try:
        await transaction.connection.execute(SET_PASSWORD, user_id, password_hash)
    except UniqueViolationError as error:
        raise _taken(error) from error


async def set_active(transaction: Transaction, user_id: str, active: bool) -> bool:
    """Switch a user on or off; False when there is no such user."""
    return await transaction.connection.fetchval(SET_ACTIVE, user_id, active) is not None


async def list_users(connection: Connection, after: str, limit: int) -> list[records.User]:
    """Return users by username and id, beginning behind the user with the id `after`."""
    rows = await (connection.fetch(LIST_AFTER, limit, after) if after else connection.fetch(LIST, limit))
    return [_user(row) for row in rows]


async def count_users(connection: Connection) -> int:
    """Return the number of users."""
    return int(await connection.fetchval(COUNTED))


async def save_refresh_token(transaction: Transaction, token: records.RefreshToken) -> None:
    """Remember a refresh token."""
    await transaction.connection.execute(SAVE_TOKEN, token.token_hash, token.user_id, token.expires_at)


async def take_refresh_token(transaction: Transaction, token_hash: bytes, now: int) -> str | None:
    """Delete a refresh token; return its user's id, or None when there was none or it had expired."""
    row = await transaction.connection.fetchrow(TAKE_TOKEN, token_hash)
    return row["user_id"] if row is not None and row["expires_at"] > now else None


async def drop_refresh_tokens(transaction: Transaction, user_id: str) -> None:
    """Forget all refresh tokens of a user."""
    await transaction.connection.execute(DROP_TOKENS, user_id)
