"""The tail of the log on SQLite: durable, and not yet among the large indexes (docs/decisions/0015).

    append ── commit ── tail ── when it has grown long ── messages

Both tables have the same columns, and together they are the log: folding one into the other changes nothing
that anybody can see. Who only reads finds both under the name `messages`; the writing connection knows them
apart. `members.sent_count` is without the tail, for the writing connection; all else is up to date at once.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from hubbub.store.base import StoreError
from hubbub.store.records import Message

LONGEST: Final = 1000
"""Messages in the tail from which on the next append folds it first."""

WHOLE_LOG: Final = """
CREATE TEMP VIEW messages AS SELECT * FROM main.messages UNION ALL SELECT * FROM main.tail;
CREATE TEMP VIEW members AS
    SELECT chat_id, user_id, role, joined_at, joined_seq, covered_count, sent_count + (
        SELECT count(*) FROM main.tail t
        WHERE t.chat_id = m.chat_id AND t.user_id = m.user_id AND t.seq > m.joined_seq
    ) AS sent_count
    FROM main.members m;
"""
"""For a reading connection: the log with its tail, under the names of the tables without it."""

ENDS: Final = """
    SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0),
        (SELECT min(position) FROM tail), (SELECT max(position) FROM tail)
"""
RECENT: Final = """
    SELECT json_group_array(json_array(
        chat_id, user_id, client_message_id, position, id, seq, username, content, type, created_at))
    FROM tail WHERE client_message_id IS NOT NULL
"""
FOLD: Final = (
    "INSERT INTO messages SELECT * FROM tail ORDER BY position",
    """
    UPDATE members SET sent_count = sent_count + t.sent FROM (
        SELECT t.chat_id, t.user_id, count(*) AS sent FROM tail t JOIN members m
        ON m.chat_id = t.chat_id AND m.user_id = t.user_id AND m.joined_seq < t.seq
        GROUP BY t.chat_id, t.user_id
    ) t WHERE members.chat_id = t.chat_id AND members.user_id = t.user_id
    """,
    "DELETE FROM tail",
)

Key: TypeAlias = tuple[str, str, str]
"""Chat, author, and the author's own id of a message."""


class _Row(msgspec.Struct, array_like=True):
    chat_id: str
    user_id: str
    client_message_id: str
    position: int
    id: str
    seq: int
    username: str
    content: str
    type: str
    created_at: int


_rows = msgspec.json.Decoder(list[_Row])


class Recent:
    """What the writing connection remembers of the log: where it ends, and the tail's messages by client id.

    It looks at the end of the log first, so it sees when something was rolled back.
    """

    __slots__ = ("by_key", "last")

    def __init__(self) -> None:
        self.last = -1
        self.by_key: dict[Key, Message] = {}

    def refresh(self, cursor: DBAPICursor) -> None:
        """Fold the tail if it is long, and know all of it."""
        folded, first, last = cursor.execute(ENDS).fetchone()
        if first is None:
            self.by_key = {}
        elif last - first + 1 >= LONGEST:
            _fold(cursor)
            self.by_key = {}
        elif self.last != last:
            self.by_key = _load(cursor)
        self.last = folded if last is None else last


def recent_of(connection: Connection) -> Recent:
    """Return what a writing connection remembers; with the connection it is gone."""
    recent: Recent = connection.info.setdefault(Recent, Recent())
    return recent


def fold(connection: Connection, calls: Sequence[None]) -> list[StoreError | None]:
    """Move the tail among the indexes."""
    cursor = connection.connection.cursor()
    try:
        _fold(cursor)
    finally:
        cursor.close()
    return [None for _ in calls]


def _fold(cursor: DBAPICursor) -> None:
    for statement in FOLD:
        cursor.execute(statement)


def _load(cursor: DBAPICursor) -> dict[Key, Message]:
    rows = _rows.decode(cursor.execute(RECENT).fetchone()[0])
    return {
        (row.chat_id, row.user_id, row.client_message_id): Message(**msgspec.structs.asdict(row))
        for row in rows
    }
