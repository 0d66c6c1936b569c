"""Appending to the log: the hot path of a send, on SQLite (docs/life-of-a-message.md).

One call appends all messages that gathered while the transaction before was committing. It reads what it must
know in three statements, decides in memory, and writes in three, whatever the number of messages (bulk.py
tells why). That is exact because this is the only writing connection: nothing changes between reading and
writing. Messages go to the tail of the log (tail.py), which makes few pages dirty.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from hubbub.store.base import ChatArchived, Conflict, NotMember, StoreError
from hubbub.store.bulk import Bulk, Row
from hubbub.store.records import Appended, Message, NewMessage
from hubbub.store.tail import Key, Recent, recent_of

MEMBERSHIPS: Final = Bulk(
    """
    WITH k(i, chat_id, user_id) AS (VALUES :rows)
    SELECT json_group_array(json_array(k.i, c.last_seq, c.archived_at))
    FROM k CROSS JOIN members m ON m.chat_id = k.chat_id AND m.user_id = k.user_id
    CROSS JOIN chats c ON c.id = k.chat_id
    """,
    3,
)
STORED: Final = Bulk(
    """
    WITH k(i, chat_id, user_id, client_message_id) AS (VALUES :rows)
    SELECT json_group_array(
        json_array(k.i, m.position, m.id, m.seq, m.username, m.content, m.type, m.created_at))
    FROM k CROSS JOIN messages m INDEXED BY messages_client_id
    ON m.chat_id = k.chat_id AND m.user_id = k.user_id AND m.client_message_id = k.client_message_id
    """,
    4,
)
# An id that a message has becomes null, which is refused.
INSERT: Final = Bulk(
    """
    WITH k(position, id, chat_id, seq, user_id, username, content, type, client_message_id, created_at)
    AS (VALUES :rows)
    INSERT INTO tail
    (position, id, chat_id, seq, user_id, username, content, type, client_message_id, created_at)
    SELECT position, CASE WHEN EXISTS (SELECT 1 FROM messages m WHERE m.id = k.id) THEN NULL ELSE id END,
        chat_id, seq, user_id, username, content, type, client_message_id, created_at
    FROM k WHERE id <> ''
    """,
    10,
)
ADVANCE: Final = Bulk(
    """
    WITH k(id, last_seq, last_activity) AS (VALUES :rows)
    UPDATE chats SET last_seq = k.last_seq, last_activity = max(chats.last_activity, k.last_activity)
    FROM k WHERE chats.id = k.id
    """,
    3,
)
COUNT_MESSAGES: Final = "UPDATE counters SET messages = messages + ? WHERE id = 1"

Pair: TypeAlias = tuple[str, str]

_memberships = msgspec.json.Decoder(list[tuple[int, int, int | None]])
_stored = msgspec.json.Decoder(list[tuple[int, int, str, int, str, str, str, int]])


class _Room(msgspec.Struct):
    last_seq: int
    archived: bool
    last_activity: int = 0
    grown: bool = False


def append(connection: Connection, batch: Sequence[NewMessage]) -> list[Appended | StoreError]:
    """Append messages in their order; answer each with its place in the log, or with why it has none."""
    cursor = connection.connection.cursor()
    try:
        plan = _Plan(cursor, recent_of(connection), batch)
        outcomes = [plan.place(message) for message in batch]
        plan.write()
        return outcomes
    finally:
        cursor.close()


class _Plan:
    """What one batch knows and what it will write."""

    def __init__(self, cursor: DBAPICursor, recent: Recent, batch: Sequence[NewMessage]) -> None:
        self._cursor = cursor
        recent.refresh(cursor)
        self._recent = recent
        self._rooms: dict[str, _Room] = {}
        self._members: dict[Pair, _Room] = {}  # every membership of the batch
        self._load_memberships(list({(message.chat_id, message.user_id): None for message in batch}))
        self._stored: dict[Key, Message] = {}  # messages before the tail that had a client id of the batch
        named = [message for message in batch if message.client_message_id is not None]
        self._load_stored([message for message in named if _key(message) not in recent.by_key])
        self._rows: list[Row] = []

    def _load_memberships(self, pairs: list[Pair]) -> None:
        rows = [(index, *pair) for index, pair in enumerate(pairs)]
        for answer in MEMBERSHIPS.ask(self._cursor, rows):
            for index, last_seq, archived_at in _memberships.decode(answer):
                pair = pairs[index]
                room = self._rooms.get(pair[0])
                if room is None:
                    room = self._rooms[pair[0]] = _Room(last_seq, archived_at is not None)
                self._members[pair] = room

    def _load_stored(self, new: list[NewMessage]) -> None:
        keys = [(index, m.chat_id, m.user_id, m.client_message_id) for index, m in enumerate(new)]
        for answer in STORED.ask(self._cursor, keys):
            for index, position, id_, seq, username, content, type_, created_at in _stored.decode(answer):
                twin = new[index]
                self._stored[_key(twin)] = Message(
                    id=id_,
                    chat_id=twin.chat_id,
                    seq=seq,
                    position=position,
                    user_id=twin.user_id,
                    username=username,
                    content=content,
                    type=type_,
                    client_message_id=twin.client_message_id,
                    created_at=created_at,
                )

    def place(self, new: NewMessage) -> Appended | StoreError:
        """Give a message the next number of its chat, unless something speaks against it."""
        room = self._members.get((new.chat_id, new.user_id))
        if room is None:
            return NotMember(f"user {new.user_id} is no member of chat {new.chat_id}")
        if new.client_message_id is not None:
            key = _key(new)
            first = self._recent.by_key.get(key) or self._stored.get(key)
            if first is not None:
                same = first.content == new.content and first.type == new.type
                return Appended(message=first, duplicate=True) if same else Conflict("clientMessageId")
        if room.archived:
            return ChatArchived(f"chat {new.chat_id} is archived")
        room.grown = True
        room.last_seq += 1
        room.last_activity = max(room.last_activity, new.created_at)
        return Appended(message=self._number(new, room.last_seq), duplicate=False)

    def _number(self, new: NewMessage, seq: int) -> Message:
        position = self._recent.last = self._recent.last + 1
        message = Message(
            id=new.id,
            chat_id=new.chat_id,
            seq=seq,
            position=position,
            user_id=new.user_id,
            username=new.username,
            content=new.content,
            type=new.type,
            client_message_id=new.client_message_id,
            created_at=new.created_at,
        )
        if new.client_message_id is not None:
            self._recent.by_key[_key(new)] = message
        self._rows.append(
            (
                position,
                new.id,
                new.chat_id,
                seq,
                new.user_id,
                new.username,
                new.content,
                new.type,
                new.client_message_id,
                new.created_at,
            )
        )
        return message

    def write(self) -> None:
        """Write what was placed."""
        if not self._rows:
            return
        INSERT.run(self._cursor, self._rows)
        grown = [(id_, room.last_seq, room.last_activity) for id_, room in self._rooms.items() if room.grown]
        ADVANCE.run(self._cursor, grown)
        self._cursor.execute(COUNT_MESSAGES, (len(self._rows),))


def _key(message: NewMessage) -> Key:
    return (message.chat_id, message.user_id, message.client_message_id or "")
