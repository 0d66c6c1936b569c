"""The name of this history, and a trace of life."""

from sqlalchemy import Connection, select, update

from hubbub.store.schema import counters, meta


def read_epoch(connection: Connection) -> str:
    """Return the name of this history."""
    return str(connection.execute(select(meta.c.value).where(meta.c.name == "epoch")).scalar_one())


def touch(connection: Connection) -> None:
    """Write something that changes nothing: its commit shows that the database can be written."""
    connection.execute(update(counters).values(users=counters.c.users))
