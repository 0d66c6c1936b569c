"""Chats and their members, on PostgreSQL.

What changes a chat or its members locks the chat's row first, as `append` does: nobody is removed, and
nothing archived, in the midst of somebody's message.
"""

from collections.abc import Sequence
from typing import Final

from asyncpg import UniqueViolationError

from hubbub.store import records
from hubbub.store.base import Conflict, Cursor, Unstorable
from hubbub.store.postgres.connections import Transaction
from hubbub.store.postgres.pool import Connection
from hubbub.store.postgres.selecting import Selection
from hubbub.store.queries import chats

CHAT_BY_ID: Final = Selection(chats.CHAT_BY_ID)
CHAT_FOR: Final = Selection(chats.CHAT_FOR)
CHATS_OF: Final = Selection(chats.CHATS_OF)
CHATS_OF_BEFORE: Final = Selection(chats.CHATS_OF_BEFORE)
ALL_CHATS: Final = Selection(chats.ALL_CHATS)
ALL_CHATS_BEFORE: Final = Selection(chats.ALL_CHATS_BEFORE)
MEMBERS: Final = Selection(chats.MEMBERS)
MEMBER_IDS: Final = Selection(chats.MEMBER_IDS)
CHAT_IDS: Final = Selection(chats.CHAT_IDS)
AT_POSITIONS: Final = """
SELECT id, chat_id, seq, position, user_id, username, content, type, client_message_id, created_at
FROM messages WHERE position = ANY($1::bigint[])
"""
CONTACTS: Final = """
SELECT DISTINCT theirs.user_id FROM members mine JOIN members theirs ON theirs.chat_id = mine.chat_id
WHERE mine.user_id = $1
"""
CREATE: Final = """
INSERT INTO chats (id, name, description, is_public, created_by, created_at, archived_at, last_seq,
    last_activity, member_count)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)
"""
JOIN: Final = """
INSERT INTO members (chat_id, user_id, role, joined_at, joined_seq, sent_count, covered_count)
SELECT *, 0, 0 FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
"""
LOCK: Final = "SELECT last_seq FROM chats WHERE id = $1 FOR NO KEY UPDATE"
CHANGE: Final = "UPDATE chats SET name = $2, description = $3, archived_at = $4 WHERE id = $1"
CHANGE_ROLE: Final = """
UPDATE members SET role = $3 WHERE chat_id = $1 AND user_id = $2 RETURNING 1
"""
LEAVE: Final = "DELETE FROM members WHERE chat_id = $1 AND user_id = $2 RETURNING 1"
COUNT: Final = "UPDATE chats SET member_count = member_count + $2 WHERE id = $1"


async def create_chat(transaction: Transaction, chat: records.Chat, first: Sequence[records.Member]) -> None:
    """Store a new chat with its first members and an empty log."""
    try:
        await transaction.connection.execute(
            CREATE,
            chat.id,
            chat.name,
            chat.description,
            chat.is_public,
            chat.created_by,
            chat.created_at,
            chat.archived_at,
            chat.last_activity,
            len(first),
        )
    except UniqueViolationError as error:
        raise Conflict("id") from error
    await _join(transaction.connection, first)


async def _join(connection: Connection, members: Sequence[records.Member]) -> None:
    await connection.execute(
        JOIN,
        [member.chat_id for member in members],
        [member.user_id for member in members],
        [member.role for member in members],
        [member.joined_at for member in members],
        [member.joined_seq for member in members],
    )


async def update_chat(
    transaction: Transaction, chat_id: str, name: str, description: str | None, archived_at: int | None
) -> None:
    """Replace a chat's name, description and archived state."""
    await transaction.connection.execute(CHANGE, chat_id, name, description, archived_at)


async def add_member(transaction: Transaction, member: records.Member) -> bool:
    """Make a user a member from here on, or give a member another role; True when it was none before."""
    connection = transaction.connection
    last_seq = await connection.fetchval(LOCK, member.chat_id)
    if last_seq is None:
        raise Unstorable(f"there is no chat {member.chat_id}")
    if await connection.fetchval(CHANGE_ROLE, member.chat_id, member.user_id, member.role):
        return False
    facts = {field: getattr(member, field) for field in member.__struct_fields__}
    await _join(connection, [records.Member(**{**facts, "joined_seq": last_seq})])
    await connection.execute(COUNT, member.chat_id, 1)
    return True


async def remove_member(transaction: Transaction, chat_id: str, user_id: str) -> bool:
    """End a membership; False when there was none."""
    connection = transaction.connection
    await connection.fetchval(LOCK, chat_id)
    if not await connection.fetchval(LEAVE, chat_id, user_id):
        return False
    await connection.execute(COUNT, chat_id, -1)
    return True


async def find_chat(connection: Connection, chat_id: str) -> records.Chat | None:
    """Return a chat."""
    row = await CHAT_BY_ID.first(connection, chat_id=chat_id)
    return None if row is None else chats.chat_of(row)


async def view_chat(connection: Connection, chat_id: str, user_id: str) -> records.ChatView | None:
    """Return a chat as a user sees it."""
    row = await CHAT_FOR.first(connection, chat_id=chat_id, user_id=user_id)
    return None if row is None else chats.view_of(row)


async def list_chats(
    connection: Connection, user_id: str, limit: int, before: Cursor | None
) -> list[records.ChatRow]:
    """Return a member's chats by last activity, newest first."""
    if before is None:
        rows = await CHATS_OF.rows(connection, user_id=user_id, limit=limit)
    else:
        rows = await CHATS_OF_BEFORE.rows(
            connection, user_id=user_id, limit=limit, last_activity=before[0], last_id=before[1]
        )
    found = await connection.fetch(AT_POSITIONS, [row["last_position"] for row in rows])
    last = {row["position"]: records.Message(**row) for row in found}
    return [chats.chat_row_of(row, last.get(row["last_position"])) for row in rows]


async def list_all_chats(connection: Connection, limit: int, before: Cursor | None) -> list[records.Chat]:
    """Return all chats by last activity, newest first."""
    if before is None:
        rows = await ALL_CHATS.rows(connection, limit=limit)
    else:
        rows = await ALL_CHATS_BEFORE.rows(
            connection, limit=limit, last_activity=before[0], last_id=before[1]
        )
    return [chats.chat_of(row) for row in rows]


async def list_members(connection: Connection, chat_id: str, after: str, limit: int) -> list[records.Member]:
    """Return members by user id, beginning behind `after`."""
    rows = await MEMBERS.rows(connection, chat_id=chat_id, after=after, limit=limit)
    return [records.Member(**row) for row in rows]


async def member_ids(connection: Connection, chat_id: str) -> list[str]:
    """Return the ids of all members."""
    return [row[0] for row in await MEMBER_IDS.rows(connection, chat_id=chat_id)]


async def contacts(connection: Connection, user_id: str) -> set[str]:
    """Return the ids of all who share a chat with that user, the user included."""
    return {user_id, *(row[0] for row in await connection.fetch(CONTACTS, user_id))}


async def chat_ids(connection: Connection, user_id: str) -> list[str]:
    """Return the ids of all chats of a member."""
    return [row[0] for row in await CHAT_IDS.rows(connection, user_id=user_id)]
