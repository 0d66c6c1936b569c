"""Receipts: the hot path of a confirmation, on SQLite.

One call records all confirmations of a batch, in the manner of `append`: it reads in three statements,
decides in memory and writes in five. A message may still be in the tail of the log (tail.py).

Own messages are never confirmed, and would cut the ranges of somebody who takes part in a conversation into
pieces without number. So a short gap that holds nothing but own messages is covered: its numbers join the
set, and `covered_count` remembers how many, since `sent_count` counts them too.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from hubbub.store import ranges
from hubbub.store.base import MessageMissing, NotMember, StoreError
from hubbub.store.bulk import Bulk
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

LONGEST_GAP: Final = 64
"""Most own messages in a row that are covered; a confirmation must not read a whole chat."""

Pair: TypeAlias = tuple[str, str]

_memberships = msgspec.json.Decoder(list[tuple[int, int, str | None, str | None]])
_owned = msgspec.json.Decoder(list[int])


class _Message(msgspec.Struct, array_like=True):
    position: int
    id: str
    chat_id: str
    seq: int
    user_id: str
    delivered: int
    read: int
    confirmed_at: int | None = None


class _Confirmed(msgspec.Struct):
    """What a member has confirmed in a chat; `new` is what this batch adds, `covered` counts own messages."""

    joined_seq: int
    delivered: ranges.Ranges
    read: ranges.Ranges
    new: list[int]
    covered: int = 0

    def cover(self, own: range) -> None:
        """Let own messages join the sets that have confirmed ones right behind them."""
        if ranges.contains(self.delivered, own.stop):
            ranges.insert_all(self.delivered, own)
        if ranges.contains(self.read, own.stop):
            read = ranges.insert_all(self.read, own)
            self.covered += sum(seq > self.joined_seq for seq in read)


_messages = msgspec.json.Decoder(list[_Message])


def confirm(connection: Connection, batch: Sequence[Confirmation]) -> list[list[Receipt] | StoreError]:
    """Record confirmations in their order; answer each with the receipts that are new."""
    cursor = connection.connection.cursor()
    try:
        plan = _Plan(cursor, batch)
        outcomes = [plan.record(confirmation) for confirmation in batch]
        plan.write()
        return outcomes
    finally:
        cursor.close()


class _Plan:
    """What one batch knows and what it will write."""

    def __init__(self, cursor: DBAPICursor, batch: Sequence[Confirmation]) -> None:
        self._cursor = cursor
        self._members: dict[Pair, _Confirmed] = {}
        self._load_members(list({(c.chat_id, c.user_id): None for c in batch}))
        ids = list({id_: None for c in batch for id_ in c.message_ids})
        answers = MESSAGES.ask(cursor, [(id_,) for id_ in ids])
        self._messages = {message.id: message for answer in answers for message in _messages.decode(answer)}
        self._delivered = 0
        self._read = 0

    def _load_members(self, pairs: list[Pair]) -> None:
        rows = [(index, *pair) for index, pair in enumerate(pairs)]
        for answer in MEMBERSHIPS.ask(self._cursor, rows):
            for index, joined_seq, delivered, read in _memberships.decode(answer):
                self._members[pairs[index]] = _Confirmed(
                    joined_seq, ranges.parse(delivered or ""), ranges.parse(read or ""), []
                )

    def record(self, confirmation: Confirmation) -> list[Receipt] | StoreError:
        """Record one confirmation in memory."""
        confirmed = self._members.get((confirmation.chat_id, confirmation.user_id))
        if confirmed is None:
            return NotMember(f"user {confirmation.user_id} is no member of chat {confirmation.chat_id}")
        found = [self._messages.get(id_) for id_ in confirmation.message_ids]
        messages = [m for m in found if m is not None and m.chat_id == confirmation.chat_id]
        if len(messages) < len(found):
            return MessageMissing(f"not all messages are in chat {confirmation.chat_id}")
        return [
            _receipt(message)
            for message in messages
            if message.user_id != confirmation.user_id and self._mark(confirmed, message, confirmation)
        ]

    def _mark(self, confirmed: _Confirmed, message: _Message, confirmation: Confirmation) -> bool:
        """Put a message into the member's sets; True when that is what the confirmation is about."""
        delivered = ranges.insert(confirmed.delivered, message.seq)
        read = confirmation.kind == "read" and ranges.insert(confirmed.read, message.seq)
        if not (delivered or read):
            return False
        confirmed.new.append(message.seq)
        message.confirmed_at = confirmation.now
        message.delivered += delivered
        message.read += read
        self._delivered += delivered
        self._read += read
        return True

    def write(self) -> None:
        """Write what was recorded."""
        if not (self._delivered or self._read):
            return
        changed = [m for m in self._messages.values() if m.confirmed_at is not None]
        counts = [(m.position, m.delivered, m.read, m.confirmed_at) for m in changed]
        COUNT.run(self._cursor, counts)
        COUNT_IN_TAIL.run(self._cursor, counts)
        members = {pair: confirmed for pair, confirmed in self._members.items() if confirmed.new}
        self._cover(members)
        SAVE.run(
            self._cursor,
            [(*pair, ranges.dump(m.delivered), ranges.dump(m.read)) for pair, m in members.items()],
        )
        COVER.run(self._cursor, [(*pair, m.covered) for pair, m in members.items() if m.covered])
        self._cursor.execute(COUNT_ALL, (self._delivered, self._read))

    def _cover(self, members: dict[Pair, _Confirmed]) -> None:
        """Let own messages join the sets where they alone keep two ranges apart."""
        gaps = list(
            {
                (*pair, *gap)
                for pair, member in members.items()
                for confirmed in (member.delivered, member.read)
                for seq in member.new
                for gap in ranges.gaps(confirmed, seq, LONGEST_GAP)
            }
        )
        for answer in OWN.ask(self._cursor, [(index, *gap) for index, gap in enumerate(gaps)]):
            for index in _owned.decode(answer):
                chat_id, user_id, first, last = gaps[index]
                members[chat_id, user_id].cover(range(first, last + 1))


def _receipt(message: _Message) -> Receipt:
    return Receipt(
        message_id=message.id,
        seq=message.seq,
        sender_id=message.user_id,
        delivered_count=message.delivered,
        read_count=message.read,
    )
