"""Receipts: the hot path of a confirmation, on PostgreSQL.

In the manner of `append`, and under the same locks: the chats' rows. What is decided in memory is exact since
nobody else can confirm in these chats meanwhile.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from hubbub.store import ranges
from hubbub.store.base import StoreError
from hubbub.store.confirming import Confirmable, Confirmed, Confirming
from hubbub.store.postgres.append import LOCK
from hubbub.store.postgres.connections import Transaction
from hubbub.store.postgres.pool import Connection
from hubbub.store.records import Confirmation, Receipt

MEMBERS: Final = """
SELECT k.chat_id, k.user_id, m.joined_seq, r.delivered, r.read
FROM unnest($1::text[], $2::text[]) AS k(chat_id, user_id)
JOIN members m ON m.chat_id = k.chat_id AND m.user_id = k.user_id
LEFT JOIN receipts r ON r.chat_id = k.chat_id AND r.user_id = k.user_id
"""
MESSAGES: Final = """
SELECT position, id, chat_id, seq, user_id, delivered_count, read_count FROM messages
WHERE id = ANY($1::text[])
"""
OWN: Final = """
SELECT k.i FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
    WITH ORDINALITY AS k(chat_id, user_id, first, last, i)
JOIN messages m ON m.chat_id = k.chat_id AND m.seq BETWEEN k.first AND k.last AND m.user_id = k.user_id
GROUP BY k.i, k.first, k.last HAVING count(*) = k.last - k.first + 1
"""
WRITE: Final = """
WITH counted AS (
    UPDATE messages
    SET delivered_count = k.delivered_count, read_count = k.read_count, receipted_at = k.receipted_at
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
        AS k(position, delivered_count, read_count, receipted_at)
    WHERE messages.position = k.position
), saved AS (
    INSERT INTO receipts (chat_id, user_id, delivered, read)
    SELECT * FROM unnest($5::text[], $6::text[], $7::text[], $8::text[])
    ON CONFLICT (chat_id, user_id) DO UPDATE SET delivered = excluded.delivered, read = excluded.read
), covered AS (
    UPDATE members SET covered_count = covered_count + k.covered
    FROM unnest($5::text[], $6::text[], $9::bigint[]) AS k(chat_id, user_id, covered)
    WHERE k.covered > 0 AND members.chat_id = k.chat_id AND members.user_id = k.user_id
), summed AS (
    UPDATE counters SET delivered = delivered + $10::bigint, read = read + $11::bigint
    WHERE id = 1 + pg_backend_pid() % 16
)
SELECT pg_current_xact_id()::text
"""


def keys(confirmation: Confirmation) -> Iterator[str]:
    """What two batches may not have in common: they would wait for each other's lock."""
    yield confirmation.chat_id


async def confirm(
    transaction: Transaction, batch: Sequence[Confirmation]
) -> list[list[Receipt] | StoreError]:
    """Record confirmations in their order; answer each with the receipts that are new."""
    connection = transaction.connection
    await connection.fetch(LOCK, sorted({c.chat_id for c in batch}))
    pairs = list({(c.chat_id, c.user_id): None for c in batch})
    members = {
        (row["chat_id"], row["user_id"]): Confirmed.stored(row["joined_seq"], row["delivered"], row["read"])
        for row in await connection.fetch(MEMBERS, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    }
    ids = list({id_: None for c in batch for id_ in c.message_ids})
    messages = {row["id"]: Confirmable(*row) for row in await connection.fetch(MESSAGES, ids)}
    confirming = Confirming(members, messages)
    outcomes = [confirming.record(confirmation) for confirmation in batch]
    if confirming.delivered or confirming.read:
        await _cover(connection, confirming)
        transaction.xid = await _write(connection, confirming)
    return outcomes


async def _cover(connection: Connection, confirming: Confirming) -> None:
    gaps = confirming.gaps()
    if gaps:
        columns = [list(column) for column in zip(*gaps, strict=True)]
        confirming.cover(gaps[row["i"] - 1] for row in await connection.fetch(OWN, *columns))


async def _write(connection: Connection, confirming: Confirming) -> str:
    changed, grown = confirming.changed, confirming.grown
    xid: str = await connection.fetchval(
        WRITE,
        [message.position for message in changed],
        [message.delivered for message in changed],
        [message.read for message in changed],
        [message.confirmed_at for message in changed],
        [chat_id for chat_id, _ in grown],
        [user_id for _, user_id in grown],
        [ranges.dump(confirmed.delivered) for confirmed in grown.values()],
        [ranges.dump(confirmed.read) for confirmed in grown.values()],
        [confirmed.covered for confirmed in grown.values()],
        confirming.delivered,
        confirming.read,
    )
    return xid
