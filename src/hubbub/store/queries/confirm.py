"""Receipts: the hot path of a confirmation, on SQLite.

One call records all confirmations of a batch, in the manner of `append`: it reads in three statements,
decides in memory (confirming.py) and writes in five. A message may still be in the tail of the log (tail.py).
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from hubbub.store import ranges
from hubbub.store.base import StoreError
from hubbub.store.bulk import Bulk
from hubbub.store.confirming import Confirmable, Confirmed, Confirming, Pair
from hubbub.store.records import Confirmation, Receipt

MEMBERSHIPS: Final = Bulk(
    """
    WITH k(i, chat_id, user_id) AS (VALUES :rows)
    SELECT json_group_array(json_array(k.i, m.joined_seq, r.delivered, r.read))
    FROM k CROSS JOIN members m ON m.chat_id = k.chat_id AND m.user_id = k.user_id
    LEFT JOIN receipts r ON r.chat_id = k.chat_id AND r.user_id = k.user_id
    """,
    3,
)
MESSAGES: Final = Bulk(
    """
    WITH k(id) AS (VALUES :rows), found(position, id, chat_id, seq, user_id, delivered_count, read_count) AS (
        SELECT m.position, m.id, m.chat_id, m.seq, m.user_id, m.delivered_count, m.read_count
        FROM k CROSS JOIN messages m ON m.id = k.id
        UNION ALL
        SELECT m.position, m.id, m.chat_id, m.seq, m.user_id, m.delivered_count, m.read_count
        FROM k CROSS JOIN tail m ON m.id = k.id
    )
    SELECT json_group_array(
        json_array(position, id, chat_id, seq, user_id, delivered_count, read_count)) FROM found
    """,
    1,
)
OWN: Final = Bulk(
    """
    WITH k(i, chat_id, user_id, lo, hi) AS (VALUES :rows), found(i, size) AS (
        SELECT k.i, k.hi - k.lo + 1 FROM k CROSS JOIN messages m
        ON m.chat_id = k.chat_id AND m.seq BETWEEN k.lo AND k.hi AND m.user_id = k.user_id
        UNION ALL
        SELECT k.i, k.hi - k.lo + 1 FROM k CROSS JOIN tail m
        ON m.chat_id = k.chat_id AND m.seq BETWEEN k.lo AND k.hi AND m.user_id = k.user_id
    )
    SELECT json_group_array(own.i) FROM (SELECT i FROM found GROUP BY i HAVING count(*) = max(size)) own
    """,
    5,
)
COUNT: Final = Bulk(
    """
    WITH k(position, delivered_count, read_count, receipted_at) AS (VALUES :rows)
    UPDATE messages
    SET delivered_count = k.delivered_count, read_count = k.read_count, receipted_at = k.receipted_at
    FROM k WHERE messages.position = k.position
    """,
    4,
)
COUNT_IN_TAIL: Final = Bulk(
    """
    WITH k(position, delivered_count, read_count, receipted_at) AS (VALUES :rows)
    UPDATE tail
    SET delivered_count = k.delivered_count, read_count = k.read_count, receipted_at = k.receipted_at
    FROM k WHERE tail.position = k.position
    """,
    4,
)
SAVE: Final = Bulk(
    """
    WITH k(chat_id, user_id, delivered, read) AS (VALUES :rows)
    INSERT INTO receipts (chat_id, user_id, delivered, read) SELECT * FROM k WHERE chat_id <> ''
    ON CONFLICT (chat_id, user_id) DO UPDATE SET delivered = excluded.delivered, read = excluded.read
    """,
    4,
)
COVER: Final = Bulk(
    """
    WITH k(chat_id, user_id, covered) AS (VALUES :rows)
    UPDATE members SET covered_count = covered_count + k.covered
    FROM k WHERE members.chat_id = k.chat_id AND members.user_id = k.user_id
    """,
    3,
)
COUNT_ALL: Final = "UPDATE counters SET delivered = delivered + ?, read = read + ? WHERE id = 1"

_memberships = msgspec.json.Decoder(list[tuple[int, int, str | None, str | None]])
_messages = msgspec.json.Decoder(list[Confirmable])
_owned = msgspec.json.Decoder(list[int])


def confirm(connection: Connection, batch: Sequence[Confirmation]) -> list[list[Receipt] | StoreError]:
    """Record confirmations in their order; answer each with the receipts that are new."""
    cursor = connection.connection.cursor()
    try:
        confirming = Confirming(_members(cursor, batch), _confirmable(cursor, batch))
        outcomes = [confirming.record(confirmation) for confirmation in batch]
        if confirming.delivered or confirming.read:
            _write(cursor, confirming)
        return outcomes
    finally:
        cursor.close()


def _members(cursor: DBAPICursor, batch: Sequence[Confirmation]) -> dict[Pair, Confirmed]:
    pairs = list({(c.chat_id, c.user_id): None for c in batch})
    rows = [(index, *pair) for index, pair in enumerate(pairs)]
    return {
        pairs[index]: Confirmed.stored(joined_seq, delivered, read)
        for answer in MEMBERSHIPS.ask(cursor, rows)
        for index, joined_seq, delivered, read in _memberships.decode(answer)
    }


def _confirmable(cursor: DBAPICursor, batch: Sequence[Confirmation]) -> dict[str, Confirmable]:
    ids = {id_: None for c in batch for id_ in c.message_ids}
    answers = MESSAGES.ask(cursor, [(id_,) for id_ in ids])
    return {message.id: message for answer in answers for message in _messages.decode(answer)}


def _write(cursor: DBAPICursor, confirming: Confirming) -> None:
    changed = confirming.changed
    counts = [(m.position, m.delivered, m.read, m.confirmed_at) for m in changed]
    COUNT.run(cursor, counts)
    COUNT_IN_TAIL.run(cursor, counts)
    gaps = confirming.gaps()
    for answer in OWN.ask(cursor, [(index, *gap) for index, gap in enumerate(gaps)]):
        confirming.cover(gaps[index] for index in _owned.decode(answer))
    members = confirming.grown.items()
    SAVE.run(cursor, [(*pair, ranges.dump(m.delivered), ranges.dump(m.read)) for pair, m in members])
    COVER.run(cursor, [(*pair, m.covered) for pair, m in members if m.covered])
    cursor.execute(COUNT_ALL, (confirming.delivered, confirming.read))
