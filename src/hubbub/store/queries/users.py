"""Users and refresh tokens."""

from typing import Final

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from hubbub.store import records
from hubbub.store.base import Conflict
from hubbub.store.bulk import Row
from hubbub.store.schema import counters, refresh_tokens, users, with_password

FIELDS: Final = tuple(users.c[name] for name in records.User.__struct_fields__)
NAMES: Final = ("username", "username_key", "email", "email_key")
USER: Final = select(*FIELDS).where(users.c.id == bindparam("id"))
_LOGIN: Final = select(*FIELDS, users.c.password_hash).where(with_password)
BY_USERNAME: Final = _LOGIN.where(users.c.username_key == bindparam("key"))
NAMED: Final = select(users.c.id).where(users.c.username_key == bindparam("key")).limit(1)
BY_EMAIL: Final = _LOGIN.where(users.c.email_key == bindparam("key"))


def names_of(user: records.User) -> dict[str, str | None]:
    """The names of a user as columns, with letter case folded for the unique ones."""
    return {
        "username": user.username,
        "username_key": user.username.casefold(),
        "email": user.email,
        "email_key": None if user.email is None else user.email.casefold(),
    }


def _taken(error: IntegrityError) -> Conflict:
    """Name what was taken: SQLite tells of an index's columns, PostgreSQL of its name; both hold ours."""
    told = str(error.orig)
    return Conflict(next((name for name in ("username", "email") if name in told), "id"))


def _user(row: RowMapping) -> records.User:
    return records.User(**row)


def row_of(user: records.User) -> Row:
    """A user as a row, in the order of the table's columns up to the password."""
    names = names_of(user)
    return (
        user.id,
        *(names[column] for column in NAMES),
        user.role,
        user.active,
        user.created_at,
        user.last_seen,
    )


def create_user(connection: Connection, user: records.User, password_hash: str | None) -> None:
    """Store a new user. One with a password has a name that nobody has, not even a user of foreign tokens."""
    if password_hash is not None and connection.execute(NAMED, {"key": user.username.casefold()}).first():
        raise Conflict("username")
    row = {field: getattr(user, field) for field in user.__struct_fields__}
    try:
        connection.execute(insert(users).values({**row, **names_of(user), "password_hash": password_hash}))
    except IntegrityError as error:
        raise _taken(error) from error
    connection.execute(update(counters).values(users=counters.c.users + 1))


def find_user(connection: Connection, user_id: str) -> records.User | None:
    """Return a user."""
    row = connection.execute(USER, {"id": user_id}).mappings().first()
    return None if row is None else _user(row)


def is_as_stored(user: records.User, stored: records.User) -> bool:
    """Tell whether a stored user has the names and the role of `user`."""
    return (stored.username, stored.email, stored.role) == (user.username, user.email, user.role)


def take_over(connection: Connection, user: records.User, stored: dict[str, records.User]) -> records.User:
    """Give the stored user the names and the role of `user`; return it as it then is.

    A user with a password keeps its names where the new ones belong to another.
    """
    before = stored[user.id]
    if is_as_stored(user, before):
        return before
    change = update(users).where(users.c.id == user.id)
    after = msgspec.structs.replace(before, username=user.username, email=user.email, role=user.role)
    try:
        with connection.begin_nested():
            connection.execute(change.values(**names_of(user), role=user.role))
    except IntegrityError:
        after = msgspec.structs.replace(before, role=user.role)
        connection.execute(change.values(role=user.role))
    stored[user.id] = after
    return after


def find_credentials(connection: Connection, login: str) -> records.Credentials | None:
    """Return the user with a password who has that username, or else that email."""
    for query in (BY_USERNAME, BY_EMAIL):
        row = connection.execute(query, {"key": login.casefold()}).mappings().first()
        if row is not None:
            facts = dict(row)
            password_hash = facts.pop("password_hash")
            return records.Credentials(user=records.User(**facts), password_hash=password_hash)
    return None


def set_password(connection: Connection, user_id: str, password_hash: str) -> None:
    """Replace a user's password hash."""
    try:
        connection.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    except IntegrityError as error:
        raise _taken(error) from error


def set_active(connection: Connection, user_id: str, active: bool) -> bool:
    """Switch a user on or off; False when there is no such user."""
    return connection.execute(update(users).where(users.c.id == user_id).values(active=active)).rowcount > 0


def list_users(connection: Connection, after: str, limit: int) -> list[records.User]:
    """Return users by username and id, beginning behind the user with the id `after`."""
    query = select(*FIELDS).order_by(users.c.username, users.c.id).limit(limit)
    if after:
        last = find_user(connection, after)
        if last is None:
            return []
        query = query.where(tuple_(users.c.username, users.c.id) > (last.username, last.id))
    return [_user(row) for row in connection.execute(query).mappings()]


def count_users(connection: Connection) -> int:
    """Return the number of users."""
    return int(connection.execute(select(counters.c.users)).scalar_one())


def save_refresh_token(connection: Connection, token: records.RefreshToken) -> None:
    """Remember a refresh token."""
    row = {"token_hash": token.token_hash, "user_id": token.user_id, "expires_at": token.expires_at}
    connection.execute(insert(refresh_tokens).values(row))


def take_refresh_token(connection: Connection, token_hash: bytes, now: int) -> str | None:
    """Delete a refresh token; return its user's id, or None when there was none or it had expired."""
    query = delete(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash)
    row = connection.execute(query.returning(refresh_tokens.c.user_id, refresh_tokens.c.expires_at)).first()
    if row is None:
        return None
    user_id, expires_at = row
    return user_id if expires_at > now else None


def drop_refresh_tokens(connection: Connection, user_id: str) -> None:
    """Forget all refresh tokens of a user."""
    connection.execute(delete(refresh_tokens).where(refresh_tokens.c.user_id == user_id))


def delete_expired_tokens(connection: Connection, now: int) -> int:
    """Forget refresh tokens that have expired; return how many."""
    return connection.execute(delete(refresh_tokens).where(refresh_tokens.c.expires_at <= now)).rowcount
