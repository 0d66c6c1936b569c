"""Reading the log and its receipts, on PostgreSQL."""

from collections.abc import Sequence
from typing import Final

from hubbub.store import records
from hubbub.store.postgres.pool import Connection
from hubbub.store.postgres.selecting import Selection
from hubbub.store.queries import log

NEWEST: Final = Selection(log.NEWEST)
OLDEST: Final = Selection(log.OLDEST)
BY_ID: Final = Selection(log.BY_ID)
RECEIPTS: Final = Selection(log.RECEIPTS)
LAST_POSITION: Final = "SELECT coalesce(max(position), 0) FROM messages"
LAST_SEQS: Final = "SELECT id, last_seq FROM chats WHERE id = ANY($1::text[])"
TOTALS: Final = """
SELECT sum(messages)::bigint AS messages, sum(delivered)::bigint AS delivered, sum(read)::bigint AS read
FROM counters
"""


async def read(
    connection: Connection, chat_id: str, window: tuple[int, int | None], limit: int, newest: bool
) -> list[records.Message]:
    """Return messages with `after < seq < before`, oldest first: the oldest `limit`, or the newest."""
    after, before = window
    rows = await (NEWEST if newest else OLDEST).rows(
        connection,
        chat_id=chat_id,
        after=log.within(after),
        before=log.FARTHEST if before is None else log.within(before),
        limit=limit,
    )
    found = [records.Message(**row) for row in rows]
    return found[::-1] if newest else found


async def find_message(connection: Connection, message_id: str) -> records.Message | None:
    """Return a message."""
    row = await BY_ID.first(connection, id=message_id)
    return None if row is None else records.Message(**row)


async def last_seqs(connection: Connection, chat_ids: Sequence[str]) -> dict[str, int]:
    """Return the newest `seq` of each of these chats that exists."""
    return {row["id"]: row["last_seq"] for row in await connection.fetch(LAST_SEQS, list(chat_ids))}


async def last_position(connection: Connection) -> int:
    """Return the newest position."""
    return int(await connection.fetchval(LAST_POSITION))


async def delivery_status(connection: Connection, message: records.Message) -> records.DeliveryStatus:
    """Return who has received and read a message, by user id."""
    rows = await RECEIPTS.rows(connection, chat_id=message.chat_id, position=message.position)
    return log.status_of(message, rows)


async def totals(connection: Connection) -> records.MessageTotals:
    """Return the totals over all chats."""
    row = await connection.fetchrow(TOTALS)
    assert row is not None  # noqa: S101 - an aggregate has a row
    return records.MessageTotals(**row)
