"""Chats and their members."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from hubbub.store import ranges, records
from hubbub.store.base import Conflict, Cursor, Unstorable
from hubbub.store.schema import chats, members, messages, receipts

CHAT: Final = tuple(chats.c[name] for name in records.Chat.__struct_fields__)
MEMBER: Final = tuple(members.c[name] for name in records.Member.__struct_fields__)
MESSAGE: Final = tuple(messages.c[name] for name in records.Message.__struct_fields__)
UNREAD: Final = (members.c.sent_count, members.c.covered_count, receipts.c.read)

CHAT_BY_ID: Final = select(*CHAT).where(chats.c.id == bindparam("chat_id"))
_IS_MEMBER: Final = and_(members.c.chat_id == chats.c.id, members.c.user_id == bindparam("user_id"))
_HAS_RECEIPTS: Final = and_(receipts.c.chat_id == chats.c.id, receipts.c.user_id == bindparam("user_id"))
CHAT_FOR: Final = (
    select(
        *CHAT,
        *UNREAD,
        *(field.label(f"member_{field.name}") for field in MEMBER),
    )
    .select_from(chats.outerjoin(members, _IS_MEMBER).outerjoin(receipts, _HAS_RECEIPTS))
    .where(chats.c.id == bindparam("chat_id"))
)
# Where the last message is. To join the log would cost SQLite a walk through all of its two tables.
_LAST: Final = (
    select(messages.c.position)
    .where(messages.c.chat_id == chats.c.id, messages.c.seq == chats.c.last_seq)
    .scalar_subquery()
)
CHATS_OF: Final = (
    select(*CHAT, members.c.joined_seq, *UNREAD, _LAST.label("last_position"))
    .select_from(members.join(chats, chats.c.id == members.c.chat_id).outerjoin(receipts, _HAS_RECEIPTS))
    .where(members.c.user_id == bindparam("user_id"))
    .order_by(chats.c.last_activity.desc(), chats.c.id.desc())
    .limit(bindparam("limit"))
)
CHATS_OF_BEFORE: Final = CHATS_OF.where(
    tuple_(chats.c.last_activity, chats.c.id) < tuple_(bindparam("last_activity"), bindparam("last_id"))
)
AT_POSITIONS: Final = select(*MESSAGE).where(messages.c.position.in_(bindparam("positions", expanding=True)))
ALL_CHATS: Final = (
    select(*CHAT).order_by(chats.c.last_activity.desc(), chats.c.id.desc()).limit(bindparam("limit"))
)
ALL_CHATS_BEFORE: Final = ALL_CHATS.where(
    tuple_(chats.c.last_activity, chats.c.id) < tuple_(bindparam("last_activity"), bindparam("last_id"))
)
MEMBERS: Final = (
    select(*MEMBER)
    .where(members.c.chat_id == bindparam("chat_id"), members.c.user_id > bindparam("after"))
    .order_by(members.c.user_id)
    .limit(bindparam("limit"))
)
MEMBER_IDS: Final = select(members.c.user_id).where(members.c.chat_id == bindparam("chat_id"))
CHAT_IDS: Final = select(members.c.chat_id).where(members.c.user_id == bindparam("user_id"))


def chat_of(row: records.Fields) -> records.Chat:
    """A row with the columns `CHAT`."""
    return records.Chat(**{field.name: row[field.name] for field in CHAT})


def _unread(last_seq: int, joined_seq: int, row: records.Fields) -> int:
    """Messages since joining that are neither the member's own nor read."""
    read = ranges.count(ranges.parse(row["read"] or ""), joined_seq, last_seq)
    own: int = row["sent_count"] - row["covered_count"]
    return last_seq - joined_seq - read - own


def create_chat(connection: Connection, chat: records.Chat, first: Sequence[records.Member]) -> None:
    """Store a new chat with its first members and an empty log."""
    row = {field: getattr(chat, field) for field in chat.__struct_fields__}
    try:
        connection.execute(insert(chats).values({**row, "last_seq": 0, "member_count": len(first)}))
    except IntegrityError as error:
        raise Conflict("id") from error
    for member in first:
        _insert_member(connection, member)


def _insert_member(connection: Connection, member: records.Member) -> None:
    row = {field: getattr(member, field) for field in member.__struct_fields__}
    connection.execute(insert(members).values({**row, "sent_count": 0, "covered_count": 0}))


def find_chat(connection: Connection, chat_id: str) -> records.Chat | None:
    """Return a chat."""
    row = connection.execute(CHAT_BY_ID, {"chat_id": chat_id}).mappings().first()
    return None if row is None else chat_of(row)


def view_chat(connection: Connection, chat_id: str, user_id: str) -> records.ChatView | None:
    """Return a chat as a user sees it."""
    row = connection.execute(CHAT_FOR, {"chat_id": chat_id, "user_id": user_id}).mappings().first()
    return None if row is None else view_of(row)


def view_of(row: records.Fields) -> records.ChatView:
    """A row of `CHAT_FOR`."""
    chat = chat_of(row)
    if row["member_user_id"] is None:
        return records.ChatView(chat=chat, member=None, unread=0)
    member = records.Member(**{field.name: row[f"member_{field.name}"] for field in MEMBER})
    unread = _unread(chat.last_seq, member.joined_seq, row)
    return records.ChatView(chat=chat, member=member, unread=unread)


def list_chats(
    connection: Connection, user_id: str, limit: int, before: Cursor | None
) -> list[records.ChatRow]:
    """Return a member's chats by last activity, newest first."""
    values: dict[str, str | int] = {"user_id": user_id, "limit": limit}
    if before is None:
        rows = connection.execute(CHATS_OF, values).mappings().all()
    else:
        values |= {"last_activity": before[0], "last_id": before[1]}
        rows = connection.execute(CHATS_OF_BEFORE, values).mappings().all()
    positions = {"positions": [row["last_position"] for row in rows]}
    found = connection.execute(AT_POSITIONS, positions).mappings()
    last = {row["position"]: records.Message(**row) for row in found}
    return [chat_row_of(row, last.get(row["last_position"])) for row in rows]


def chat_row_of(row: records.Fields, last_message: records.Message | None) -> records.ChatRow:
    """A row of `CHATS_OF`, and the message at its `last_position`."""
    chat = chat_of(row)
    unread = _unread(chat.last_seq, row["joined_seq"], row)
    return records.ChatRow(chat=chat, unread=unread, last_message=last_message)


def list_all_chats(connection: Connection, limit: int, before: Cursor | None) -> list[records.Chat]:
    """Return all chats by last activity, newest first."""
    values: dict[str, str | int] = {"limit": limit}
    if before is None:
        rows = connection.execute(ALL_CHATS, values).mappings()
    else:
        values |= {"last_activity": before[0], "last_id": before[1]}
        rows = connection.execute(ALL_CHATS_BEFORE, values).mappings()
    return [chat_of(row) for row in rows]


def update_chat(
    connection: Connection, chat_id: str, name: str, description: str | None, archived_at: int | None
) -> None:
    """Replace a chat's name, description and archived state."""
    change = update(chats).where(chats.c.id == chat_id)
    connection.execute(change.values(name=name, description=description, archived_at=archived_at))


def add_member(connection: Connection, chat_id: str, user_id: str, role: str, now: int) -> bool:
    """Make a user a member from here on, or give a member another role; True when it was none before."""
    of_user = and_(members.c.chat_id == chat_id, members.c.user_id == user_id)
    if connection.execute(update(members).where(of_user).values(role=role)).rowcount:
        return False
    last_seq = connection.execute(select(chats.c.last_seq).where(chats.c.id == chat_id)).scalar()
    if last_seq is None:
        raise Unstorable(f"there is no chat {chat_id}")
    _insert_member(
        connection,
        records.Member(chat_id=chat_id, user_id=user_id, role=role, joined_at=now, joined_seq=last_seq),
    )
    _count_member(connection, chat_id, 1)
    return True


def remove_member(connection: Connection, chat_id: str, user_id: str) -> bool:
    """End a membership; False when there was none."""
    of_user = and_(members.c.chat_id == chat_id, members.c.user_id == user_id)
    if not connection.execute(delete(members).where(of_user)).rowcount:
        return False
    _count_member(connection, chat_id, -1)
    return True


def _count_member(connection: Connection, chat_id: str, change: int) -> None:
    count = chats.c.member_count + change
    connection.execute(update(chats).where(chats.c.id == chat_id).values(member_count=count))


def list_members(connection: Connection, chat_id: str, after: str, limit: int) -> list[records.Member]:
    """Return members by user id, beginning behind `after`."""
    rows = connection.execute(MEMBERS, {"chat_id": chat_id, "after": after, "limit": limit})
    return [records.Member(**row) for row in rows.mappings()]


def member_ids(connection: Connection, chat_id: str) -> list[str]:
    """Return the ids of all members."""
    return list(connection.execute(MEMBER_IDS, {"chat_id": chat_id}).scalars())


def chat_ids(connection: Connection, user_id: str) -> list[str]:
    """Return the ids of all chats of a member."""
    return list(connection.execute(CHAT_IDS, {"user_id": user_id}).scalars())
