"""Sending and reading messages (docs/life-of-a-message.md).

    request -> cleaned and checked -> rate limit -> log.append ... commit ... -> told over the bus -> the
    sender's ack

Whether the author is a member is checked by the log inside the append's transaction. Nothing is told before
the commit; the log completes its futures in commit order, so messages are told in the order of `seq`.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec

from hubbub.chat import wire
from hubbub.chat.limits import Limits
from hubbub.cluster.base import Bus, Connection, MessageNew, Registry
from hubbub.contract import answers, errors, events, objects
from hubbub.contract.requests import SendMessage
from hubbub.contract.values import MAX_CONTENT, MessageType, new_id, now
from hubbub.store import records
from hubbub.store.base import Log

# All control characters but tab and newline go; everything else is kept as it was sent.
_REMOVED = {code: None for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


class Outcome(msgspec.Struct, frozen=True):
    """A committed message: the ack, and what the sending socket is told besides."""

    answer: answers.Sent
    sent: events.MessageSent | None


class Messages:
    """The way of a message from the request to the bus, and back out of the log."""

    def __init__(self, log: Log, registry: Registry, bus: Bus, limits: Limits) -> None:
        self._log = log
        self._registry = registry
        self._bus = bus
        self._limits = limits
        # Messages stored since the start, for the metrics.
        self.stored = 0

    async def send(self, who: Connection, request: SendMessage) -> "asyncio.Future[Outcome]":
        """Accept a message. The future is done after its commit; by then it has been told to the room.

        Returns as soon as the message has its place in the log's queue, so that a client's next message may
        follow before this one is on disk. Raises `RequestError`; the future fails with the store's errors.
        """
        content, kind = clean(request)
        await self._limits.message(who.user_id)
        deliver_to = await self._registry.room_count(request.chat_id)
        appended = self._log.append(
            records.NewMessage(
                id=new_id(),
                chat_id=request.chat_id,
                user_id=who.user_id,
                username=who.username,
                content=content,
                type=kind,
                client_message_id=request.client_message_id,
                created_at=now(),
            )
        )
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        appended.add_done_callback(partial(self._committed, outcome, deliver_to))
        return outcome

    def _committed(
        self,
        outcome: "asyncio.Future[Outcome]",
        deliver_to: int,
        appended: "asyncio.Future[records.Appended]",
    ) -> None:
        """Tell the room of a committed message, then its sender."""
        error = appended.exception()
        if error is not None:
            if not outcome.cancelled():
                outcome.set_exception(error)
            return
        result = appended.result()
        message = wire.message(result.message)
        if not result.duplicate:
            self.stored += 1
            self._bus.publish(MessageNew(message=message, position=result.message.position))
        if not outcome.cancelled():
            outcome.set_result(_outcome(message, result.duplicate, deliver_to))

    async def after(self, chat_id: str, seq: int, before: int | None, limit: int) -> list[MessageNew]:
        """Return the messages behind `seq`, and before `before` if given, as the bus would have told them."""
        found = await self._log.read(chat_id, after=seq, before=before, limit=limit)
        return [MessageNew(message=wire.message(one), position=one.position) for one in found]

    async def last_seq(self, chat_id: str) -> int:
        """Return the number of a chat's newest message."""
        return (await self.last_seqs([chat_id])).get(chat_id, 0)

    async def last_seqs(self, chat_ids: Sequence[str]) -> dict[str, int]:
        """Return the number of the newest message of each of these chats that exists."""
        return await self._log.last_seqs(chat_ids)


def _outcome(message: objects.Message, duplicate: bool, deliver_to: int) -> Outcome:
    if duplicate:
        return Outcome(answers.SentBefore(sent_message=message), None)
    sent = events.MessageSent(
        message_id=message.id,
        chat_id=message.chat_id,
        seq=message.seq,
        delivered_to=deliver_to,
        timestamp=message.created_at,
    )
    return Outcome(answers.Sent(sent_message=message), sent)


def clean(request: SendMessage) -> tuple[str, MessageType]:
    """Return the content as it is stored, and the type. Raises `RequestError` for what is refused."""
    content = request.content.translate(_REMOVED).strip()
    if not content:
        raise errors.invalid("content", "is empty", "Message content cannot be empty")
    if len(content) > MAX_CONTENT:
        text = f"Message content too long (max {MAX_CONTENT} characters)"
        raise errors.invalid("content", f"has {len(content)} characters", text)
    try:
        return content, MessageType(request.type.lower())
    except ValueError:
        raise errors.invalid("type", f"must be one of {', '.join(MessageType)}") from None
