"""The name of this history, and a trace of life."""

from typing import Final

from sqlalchemy import Connection, select, update

from hubbub.store.schema import counters, meta

SET_EPOCH: Final = "UPDATE meta SET value = ? WHERE name = 'epoch'"
VOID_POSITIONS: Final = """
    UPDATE sessions SET positions = (SELECT json_group_object(key, -1) FROM json_each(sessions.positions))
"""
"""SQLite. The sessions of another history still know their chats, but no place in them (`records.VOID`)."""


def read_epoch(connection: Connection) -> str:
    """Return the name of this history."""
    return str(connection.execute(select(meta.c.value).where(meta.c.name == "epoch")).scalar_one())


def touch(connection: Connection) -> None:
    """Write something that changes nothing: its commit shows that the database can be written."""
    connection.execute(update(counters).values(users=counters.c.users))
