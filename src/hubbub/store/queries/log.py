"""Reading the log and its receipts."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from hubbub.store import ranges, records
from hubbub.store.schema import chats, counters, messages, receipts

FIELDS: Final = tuple(messages.c[name] for name in records.Message.__struct_fields__)
_WINDOW: Final = (
    select(*FIELDS)
    .where(
        messages.c.chat_id == bindparam("chat_id"),
        messages.c.seq > bindparam("after"),
        messages.c.seq < bindparam("before"),
    )
    .limit(bindparam("limit"))
)
OLDEST: Final = _WINDOW.order_by(messages.c.seq)
NEWEST: Final = _WINDOW.order_by(messages.c.seq.desc())
BY_ID: Final = select(*FIELDS).where(messages.c.id == bindparam("id"))
LAST_SEQS: Final = select(chats.c.id, chats.c.last_seq).where(
    chats.c.id.in_(bindparam("chat_ids", expanding=True))
)
LAST_POSITION: Final = select(messages.c.position).order_by(messages.c.position.desc()).limit(1)
_RECEIPTED_AT: Final = select(messages.c.receipted_at).where(messages.c.position == bindparam("position"))
RECEIPTS: Final = (
    select(receipts.c.user_id, receipts.c.delivered, receipts.c.read, _RECEIPTED_AT.scalar_subquery())
    .where(receipts.c.chat_id == bindparam("chat_id"))
    .order_by(receipts.c.user_id)
)
TOTALS: Final = select(counters.c.messages, counters.c.delivered, counters.c.read)

FARTHEST: Final = 2**63 - 1
"""The largest number a column holds; no `seq` or `position` comes near it."""


def within(number: int) -> int:
    """Bring a cursor into the numbers that a column holds."""
    return max(-1, min(number, FARTHEST))


def read(
    connection: Connection, chat_id: str, window: tuple[int, int | None], limit: int, newest: bool
) -> list[records.Message]:
    """Return messages with `after < seq < before`, oldest first: the oldest `limit`, or the newest."""
    after, before = window
    values = {
        "chat_id": chat_id,
        "after": within(after),
        "before": FARTHEST if before is None else within(before),
        "limit": limit,
    }
    rows = connection.execute(NEWEST if newest else OLDEST, values)
    found = [records.Message(**row) for row in rows.mappings()]
    return found[::-1] if newest else found


def find_message(connection: Connection, message_id: str) -> records.Message | None:
    """Return a message."""
    row = connection.execute(BY_ID, {"id": message_id}).mappings().first()
    return None if row is None else records.Message(**row)


def last_seqs(connection: Connection, chat_ids: Sequence[str]) -> dict[str, int]:
    """Return the newest `seq` of each of these chats that exists."""
    rows = connection.execute(LAST_SEQS, {"chat_ids": list(chat_ids)})
    return {row.id: row.last_seq for row in rows}


def last_position(connection: Connection) -> int:
    """Return the newest position."""
    return int(connection.execute(LAST_POSITION).scalar() or 0)


def delivery_status(connection: Connection, message: records.Message) -> records.DeliveryStatus:
    """Return who has received and read a message, by user id."""
    values = {"chat_id": message.chat_id, "position": message.position}
    return status_of(message, connection.execute(RECEIPTS, values))


def status_of(message: records.Message, rows: Iterable[Iterable[Any]]) -> records.DeliveryStatus:
    """What rows of `RECEIPTS` say of a message."""
    delivered_to, read_by, updated_at = [], [], None
    for user_id, delivered, read_, receipted_at in rows:
        updated_at = receipted_at
        if user_id == message.user_id:
            continue
        if ranges.contains(ranges.parse(delivered), message.seq):
            delivered_to.append(user_id)
        if ranges.contains(ranges.parse(read_), message.seq):
            read_by.append(user_id)
    return records.DeliveryStatus(delivered_to=delivered_to, read_by=read_by, updated_at=updated_at)


def totals(connection: Connection) -> records.MessageTotals:
    """Return the totals over all chats."""
    return records.MessageTotals(**connection.execute(TOTALS).mappings().one())
