"""Receipts: who has received and who has read a message.

confirmation -> recorded by the log, which says what is new -> told to the room, or to the author in a large
one
"""

from typing import Final

from hubbub.chat import access
from hubbub.cluster.base import Bus, Connection, Registry, ToRoom, ToUsers
from hubbub.contract import answers, errors, events, objects
from hubbub.contract.requests import Confirm, ConfirmDelivered, ConfirmRead
from hubbub.contract.values import iso, now
from hubbub.store import records
from hubbub.store.base import Chats, Log, ReceiptKind, Store

_EVENTS: Final[dict[ReceiptKind, type[events.Receipt]]] = {
    "delivered": events.MessageDelivered,
    "read": events.MessageRead,
}


class Receipts:
    """Records and tells receipts. In rooms of more than `broadcast_limit` users only the author is told."""

    def __init__(self, store: Store, registry: Registry, bus: Bus, broadcast_limit: int) -> None:
        self._log: Log = store
        self._chats: Chats = store
        self._registry = registry
        self._bus = bus
        self._broadcast_limit = broadcast_limit

    async def delivered(self, who: Connection, request: ConfirmDelivered) -> answers.Delivered:
        """Record that messages have reached a member."""
        await self._confirm(who, request, "delivered")
        return answers.Delivered()

    async def read(self, who: Connection, request: ConfirmRead) -> answers.Read:
        """Record that a member has read messages."""
        await self._confirm(who, request, "read")
        return answers.Read()

    async def _confirm(self, who: Connection, request: Confirm, kind: ReceiptKind) -> None:
        time = now()
        self._registry.look_up_room_count(request.chat_id)
        new = await self._log.confirm(request.chat_id, who.user_id, _message_ids(request), kind, time)
        if not new:
            return
        crowded = self._registry.known_room_count(request.chat_id) > self._broadcast_limit
        for receipt in new:
            event = _EVENTS[kind](
                message_id=receipt.message_id,
                chat_id=request.chat_id,
                user_id=who.user_id,
                delivered_count=receipt.delivered_count,
                read_count=receipt.read_count,
                timestamp=iso(time),
            )
            self._tell(request.chat_id, receipt, event, crowded=crowded)

    def _tell(self, chat_id: str, receipt: records.Receipt, event: events.Receipt, *, crowded: bool) -> None:
        if crowded:
            author = frozenset((receipt.sender_id,))
            self._bus.publish(ToUsers(user_ids=author, event=event, chat_id=chat_id))
        else:
            self._bus.publish(ToRoom(chat_id=chat_id, event=event))

    async def status(self, who: Connection, message_id: str) -> answers.DeliveryStatus:
        """Tell a member of the chat whom a message has reached. Outsiders learn not even that it exists."""
        message = await self._log.message(message_id)
        if message is None:
            raise errors.message_not_found()
        if await access.find_membership(self._chats, message.chat_id, who.user_id) is None:
            raise errors.message_not_found()
        status = await self._log.delivery_status(message)
        return answers.DeliveryStatus(
            status=objects.DeliveryStatus(
                message_id=message.id,
                delivered_to=status.delivered_to,
                read_by=status.read_by,
                sent_at=iso(message.created_at),
                last_update=iso(status.updated_at or message.created_at),
            )
        )

    async def stats(self) -> answers.MessageStats:
        """Return the figures of the whole server."""
        totals = await self._log.totals()
        return answers.MessageStats(
            stats=objects.MessageStats(
                active_typing_users=await self._registry.count_typing(),
                tracked_messages=totals.messages,
                total_delivered=totals.delivered,
                total_read=totals.read,
            )
        )


def _message_ids(request: Confirm) -> list[str]:
    if (request.message_id is None) == (request.message_ids is None):
        raise errors.invalid("messageId", "give either messageId or messageIds")
    return [request.message_id] if request.message_id is not None else list(request.message_ids or ())
