"""Raw statements over many rows at once, for the hot paths on SQLite.

The writing thread gives up the interpreter lock around every step of a statement, and under load it gets it
back only after up to `sys.getswitchinterval()` (5 ms). Hundreds of small steps in a transaction would
therefore take seconds beside a busy event loop. So the hot paths send all their rows in one statement and get
their answer as one row of JSON: about eight steps for a transaction of any size.

A statement has a `VALUES` list of a few fixed lengths, so that each is prepared once; rows of empty
texts fill it up, and the statement must pass over them. (With nulls it would take
longer: Python's `sqlite3` looks for an adapter of each.)
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Final, TypeAlias

from sqlalchemy.engine.interfaces import DBAPICursor

Value: TypeAlias = str | int | bytes | None
Row: TypeAlias = tuple[Value, ...]

LENGTHS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FILLER: Final = ""


class Bulk:
    """A statement whose text holds `:rows` where its `VALUES` belong, each of `width` columns."""

    __slots__ = ("_texts", "_width")

    def __init__(self, text: str, width: int) -> None:
        marks = f"({','.join('?' * width)})"
        self._width = width
        self._texts = {length: text.replace(":rows", ",".join([marks] * length)) for length in LENGTHS}

    def run(self, cursor: DBAPICursor, rows: Sequence[Row]) -> None:
        """Execute the statement over these rows."""
        for text, values in self._calls(rows):
            cursor.execute(text, values)

    def ask(self, cursor: DBAPICursor, rows: Sequence[Row]) -> Iterator[str]:
        """Execute a statement that answers with one text; one for each part of the rows."""
        for text, values in self._calls(rows):
            yield cursor.execute(text, values).fetchone()[0]

    def rows(self, cursor: DBAPICursor, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
        """Execute a statement that answers with a row, a key and a text, for each of these rows."""
        for text, values in self._calls(rows):
            yield from cursor.execute(text, values).fetchall()

    def _calls(self, rows: Sequence[Row]) -> Iterator[tuple[str, list[Value]]]:
        for start in range(0, len(rows), LENGTHS[-1]):
            part = rows[start : start + LENGTHS[-1]]
            length = _length_for(len(part))
            values = list(chain.from_iterable(part))
            values += [FILLER] * ((length - len(part)) * self._width)
            yield self._texts[length], values


@cache
def _length_for(count: int) -> int:
    return next(length for length in LENGTHS if length >= count)
