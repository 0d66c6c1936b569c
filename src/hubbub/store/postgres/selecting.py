"""The SELECTs that both databases share, as asyncpg takes them: SQLAlchemy Core makes the text, once."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
from sqlalchemy import Dialect, Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from hubbub.store.postgres.pool import Connection

_dialect: Final[Dialect] = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


class Selection:
    """A statement with named parameters."""

    __slots__ = ("_fixed", "_names", "text")

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        compiled = statement.compile(dialect=_dialect)
        self.text = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._fixed = compiled.params  # what the statement says itself, like LIMIT 1

    def _in_order(self, values: Mapping[str, object]) -> list[object]:
        return [values[name] if name in values else self._fixed[name] for name in self._names]

    async def rows(self, connection: Connection, **values: object) -> list[asyncpg.Record]:
        """Return all rows."""
        return await connection.fetch(self.text, *self._in_order(values))

    async def first(self, connection: Connection, **values: object) -> asyncpg.Record | None:
        """Return the first row, or None."""
        return await connection.fetchrow(self.text, *self._in_order(values))


def fields_of(row: Mapping[str, Any] | asyncpg.Record) -> dict[str, Any]:
    """A row's columns by name."""
    return dict(row)
