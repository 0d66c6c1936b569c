"""Sending and reading messages (docs/life-of-a-message.md).

    request -> cleaned and checked -> rate limit -> log.append ... commit ... -> told over the bus -> the
    sender's ack

Whether the author is a member is checked by the log inside the append's transaction. Nothing is told before
the commit; the log completes its futures in commit order, so messages are told in the order of `seq`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import msgspec

from hubbub.chat import wire
from hubbub.chat.limits import Limits
from hubbub.cluster.base import Bus, Connection, MessageNew, Registry
from hubbub.contract import answers, errors, events, objects
from hubbub.contract.requests import SendMessage
from hubbub.contract.values import MAX_CONTENT, MessageType, new_id, now
from hubbub.store import records
from hubbub.store.base import Log

log = logging.getLogger(__name__)

# All control characters but tab and newline go; everything else is kept as it was sent.
_REMOVED = {code: None for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
_TYPES = {str(kind): kind for kind in MessageType}


class Outcome(msgspec.Struct, frozen=True):
    """A committed message: the ack, and what the sending socket is told besides."""

    answer: answers.Sent
    sent: events.MessageSent | None


Answer = Callable[[Outcome | BaseException], None]
"""Is told the outcome of a message, or the store's error."""

Committing: TypeAlias = "asyncio.Future[records.Appended]"
"""A message that was accepted; done after its commit."""


class Messages:
    """The way of a message from the request to the bus, and back out of the log."""

    def __init__(self, log: Log, registry: Registry, bus: Bus, limits: Limits) -> None:
        self._log = log
        self._registry = registry
        self._bus = bus
        self._limits = limits
        # Messages stored since the start, for the metrics.
        self.stored = 0
        # Outcomes to be answered when all messages of their commit have been told.
        self._outcomes: list[tuple[Answer, Outcome | BaseException]] = []

    async def send(self, who: Connection, request: SendMessage, answer: Answer) -> Committing:
        """Accept a message; `answer` is called after its commit, when it has been told to the room.

        Returns as soon as the message has its place in the log's queue, so that a client's next message may
        follow before this one is on disk. Who waits for the future goes on after the answer. Raises
        `RequestError`.
        """
        content, kind = clean(request)
        await self._limits.message(who.user_id)
        self._registry.look_up_room_count(request.chat_id)
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
        appended.add_done_callback(partial(self._committed, answer))
        return appended

    def _committed(self, answer: Answer, appended: Committing) -> None:
        """Tell the room of a committed message; its sender when all of this commit have been told."""
        if not self._outcomes:
            asyncio.get_running_loop().call_soon(self._answer)
        error = asyncio.CancelledError() if appended.cancelled() else appended.exception()
        if error is not None:
            self._outcomes.append((answer, error))
            return
        result = appended.result()
        message = wire.message(result.message)
        if not result.duplicate:
            self.stored += 1
            self._bus.publish(MessageNew(message=message, position=result.message.position))
        deliver_to = self._registry.known_room_count(message.chat_id)
        self._outcomes.append((answer, _outcome(message, result.duplicate, deliver_to)))

    def _answer(self) -> None:
        """Answer the messages of a commit, in its order."""
        outcomes, self._outcomes = self._outcomes, []
        for answer, outcome in outcomes:
            try:
                answer(outcome)
            except Exception:
                log.exception("A sender could not be answered")

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
    content = request.content
    if not content.isprintable():
        content = content.translate(_REMOVED)
    content = content.strip()
    if not content:
        raise errors.invalid("content", "is empty", "Message content cannot be empty")
    if len(content) > MAX_CONTENT:
        text = f"Message content too long (max {MAX_CONTENT} characters)"
        raise errors.invalid("content", f"has {len(content)} characters", text)
    kind = _TYPES.get(request.type) or _TYPES.get(request.type.lower())
    if kind is None:
        raise errors.invalid("type", f"must be one of {', '.join(MessageType)}")
    return content, kind
