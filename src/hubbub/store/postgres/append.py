"""Appending to the log: the hot path of a send, on PostgreSQL (docs/life-of-a-message.md).

    lock the chats, in the order of their ids -> read memberships and stored client ids -> decide in memory
    -> write everything in one statement

The lock is what makes `seq` dense and the reading exact: whoever appends to a chat, changes it or its members
has locked its row first, on whichever node (`LOCK`). It is held from here to the commit.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import asyncpg
import msgspec

from hubbub.store.base import ChatArchived, Conflict, NotMember, StoreError
from hubbub.store.postgres.connections import Transaction
from hubbub.store.records import Appended, Message, NewMessage

LOCK: Final = """
SELECT id, last_seq, last_activity, archived_at IS NOT NULL AS archived
FROM chats WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE
"""
READ: Final = """
SELECT k.i, m.user_id IS NOT NULL AS is_member,
    t.position, t.id, t.seq, t.username, t.content, t.type, t.created_at
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(chat_id, user_id, client_message_id, i)
LEFT JOIN members m ON m.chat_id = k.chat_id AND m.user_id = k.user_id
LEFT JOIN messages t ON t.chat_id = k.chat_id AND t.user_id = k.user_id
    AND t.client_message_id = k.client_message_id
WHERE m.user_id IS NOT NULL
"""
WRITE: Final = """
WITH placed AS (
    INSERT INTO messages (id, chat_id, seq, user_id, username, content, type, client_message_id, created_at)
    SELECT id, chat_id, seq, user_id, username, content, type, client_message_id, created_at
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::bigint[]) WITH ORDINALITY
        AS k(id, chat_id, seq, user_id, username, content, type, client_message_id, created_at, i)
    ORDER BY i
    RETURNING id, position
), sent AS (
    UPDATE members SET sent_count = sent_count + k.sent
    FROM unnest($10::text[], $11::text[], $12::bigint[]) AS k(chat_id, user_id, sent)
    WHERE members.chat_id = k.chat_id AND members.user_id = k.user_id
), grown AS (
    UPDATE chats SET last_seq = k.last_seq, last_activity = greatest(chats.last_activity, k.last_activity)
    FROM unnest($13::text[], $14::bigint[], $15::bigint[]) AS k(id, last_seq, last_activity)
    WHERE chats.id = k.id
), counted AS (
    UPDATE counters SET messages = messages + cardinality($1::text[])
    WHERE id = 1 + pg_backend_pid() % 16
)
SELECT id, position, pg_current_xact_id()::text AS xid FROM placed
"""
"""The rows are inserted in their order, and the positions grow with it: they are given behind the sort."""

Pair: TypeAlias = tuple[str, str]
Key: TypeAlias = tuple[str, str, str]


class _Room(msgspec.Struct):
    last_seq: int
    last_activity: int
    archived: bool
    grown: bool = False


class _Place(msgspec.Struct):
    """A new message and its number, or the message that had its client id first in this batch."""

    new: NewMessage
    seq: int
    position: int = 0
    duplicate_of: "_Place | None" = None


def keys(message: NewMessage) -> Iterator[str]:
    """What two batches may not have in common: the order of a chat, and of what an author sends."""
    yield f"chat {message.chat_id}"
    yield f"user {message.user_id}"


async def append(transaction: Transaction, batch: Sequence[NewMessage]) -> list[Appended | StoreError]:
    """Append messages in their order; answer each with its place in the log, or with why it has none."""
    rooms = {
        row["id"]: _Room(row["last_seq"], row["last_activity"], row["archived"])
        for row in await transaction.connection.fetch(LOCK, sorted({new.chat_id for new in batch}))
    }
    rows = await transaction.connection.fetch(
        READ,
        [new.chat_id for new in batch],
        [new.user_id for new in batch],
        [new.client_message_id for new in batch],
    )
    plan = _Plan(batch, rooms, rows)
    places = [plan.place(new) for new in batch]
    await plan.write(transaction)
    return [_outcome(place) for place in places]


class _Plan:
    """What one batch knows and what it will write."""

    def __init__(
        self, batch: Sequence[NewMessage], rooms: dict[str, _Room], rows: Sequence[asyncpg.Record]
    ) -> None:
        self._rooms = rooms
        self._sent: dict[Pair, int] = {}  # every membership of the batch, with the messages placed for it
        self._stored: dict[Key, Message] = {}  # by client_message_id
        self._first: dict[Key, _Place] = {}  # the same, placed in this batch
        self._placed: list[_Place] = []
        for row in rows:
            new = batch[row["i"] - 1]
            self._sent[new.chat_id, new.user_id] = 0
            if row["id"] is not None:
                self._stored[_key(new)] = _message(new, row)

    def place(self, new: NewMessage) -> "_Place | Appended | StoreError":
        """Give a message the next number of its chat, unless something speaks against it."""
        pair = (new.chat_id, new.user_id)
        if pair not in self._sent:
            return NotMember(f"user {new.user_id} is no member of chat {new.chat_id}")
        if new.client_message_id is not None and (twin := self._twin(new)) is not None:
            return twin
        room = self._rooms[new.chat_id]
        if room.archived:
            return ChatArchived(f"chat {new.chat_id} is archived")
        room.grown = True
        room.last_seq += 1
        room.last_activity = max(room.last_activity, new.created_at)
        self._sent[pair] += 1
        place = _Place(new, room.last_seq)
        self._placed.append(place)
        if new.client_message_id is not None:
            self._first[_key(new)] = place
        return place

    def _twin(self, new: NewMessage) -> "_Place | Appended | StoreError | None":
        """Answer a message whose client id was used before."""
        stored = self._stored.get(_key(new))
        placed = self._first.get(_key(new))
        first = stored or (placed.new if placed is not None else None)
        if first is None:
            return None
        if (first.content, first.type) != (new.content, new.type):
            return Conflict("clientMessageId")
        if stored is not None:
            return Appended(message=stored, duplicate=True)
        return _Place(new, 0, duplicate_of=placed)

    async def write(self, transaction: Transaction) -> None:
        """Write what was placed; then the places know their positions."""
        if not self._placed:
            return
        sent = [(pair, count) for pair, count in self._sent.items() if count]
        grown = [(id_, room) for id_, room in self._rooms.items() if room.grown]
        new = [place.new for place in self._placed]
        rows = await transaction.connection.fetch(
            WRITE,
            [one.id for one in new],
            [one.chat_id for one in new],
            [place.seq for place in self._placed],
            [one.user_id for one in new],
            [one.username for one in new],
            [one.content for one in new],
            [one.type for one in new],
            [one.client_message_id for one in new],
            [one.created_at for one in new],
            [chat_id for (chat_id, _), _ in sent],
            [user_id for (_, user_id), _ in sent],
            [count for _, count in sent],
            [id_ for id_, _ in grown],
            [room.last_seq for _, room in grown],
            [room.last_activity for _, room in grown],
        )
        transaction.xid = rows[0]["xid"]
        positions = {row["id"]: row["position"] for row in rows}
        for place in self._placed:
            place.position = positions[place.new.id]


def _key(message: NewMessage) -> Key:
    return (message.chat_id, message.user_id, message.client_message_id or "")


def _message(new: NewMessage, row: asyncpg.Record) -> Message:
    """The message that was stored under the client id of `new`."""
    return Message(
        id=row["id"],
        chat_id=new.chat_id,
        seq=row["seq"],
        position=row["position"],
        user_id=new.user_id,
        username=row["username"],
        content=row["content"],
        type=row["type"],
        client_message_id=new.client_message_id,
        created_at=row["created_at"],
    )


def _outcome(place: "_Place | Appended | StoreError") -> Appended | StoreError:
    if not isinstance(place, _Place):
        return place
    first = place.duplicate_of or place
    message = Message(
        **{field: getattr(first.new, field) for field in NewMessage.__struct_fields__},
        seq=first.seq,
        position=first.position,
    )
    return Appended(message=message, duplicate=place.duplicate_of is not None)
