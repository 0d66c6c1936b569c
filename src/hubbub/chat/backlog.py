"""Backlog: what a client missed, read from the log, as much of it as can be sent at once.

    positions of a session -> the log -> sorted over all chats -> cut, or given up, where it gets too much

What a recovery sends must fit into the outbox of the socket that recovers, or the socket would be
disconnected for it, again and again.
"""

from collections.abc import Container, Mapping
from typing import Final

import msgspec

from hubbub.chat import wire
from hubbub.cluster.base import MessageNew
from hubbub.contract.values import MAX_QUEUE
from hubbub.store import records
from hubbub.store.base import Log

_REPLAY_LIMIT: Final = 5000

_QUEUE_SHARE: Final = 4
"""A queue may be this part of an outbox: it is sent twice, in the answer and as an event."""


class Missed(msgspec.Struct, frozen=True):
    """What a client missed, oldest first. `truncated`: there is more, to be read by history."""

    messages: list[MessageNew]
    truncated: bool

    def within(self, rooms: Container[str]) -> "Missed":
        """Leave out what is about other rooms than these."""
        return Missed([one for one in self.messages if one.message.chat_id in rooms], self.truncated)


class Backlog:
    """Reads what was missed. `outbox` is the number of bytes that a socket may be sent at once."""

    def __init__(self, log: Log, outbox: int) -> None:
        self._log = log
        self._queue_bytes = outbox // _QUEUE_SHARE
        self._replay_bytes = outbox * 3 // 4

    async def queue(self, after: Mapping[str, int], upto: Mapping[str, int]) -> Missed:
        """Return what lies behind `after` up to `upto` in each chat, as much as a queue may hold."""
        found: list[records.Message] = []
        for chat_id in after:
            found += await self._between(chat_id, after, upto, MAX_QUEUE + 1)
        told = _told(found)
        kept = _fitting(told, MAX_QUEUE, self._queue_bytes)
        return Missed(kept, truncated=len(kept) < len(told))

    async def replay(
        self, after: Mapping[str, int], upto: Mapping[str, int], offset: int | None
    ) -> list[MessageNew] | None:
        """Return what Socket.IO's own recovery owes behind the client's `offset`, in the order of all chats.

        None when it is more than can be sent at once, or when nobody knows what the client has: then it
        begins anew.
        """
        found: list[records.Message] = []
        for chat_id in after:
            found += await self._between(chat_id, after, upto, _REPLAY_LIMIT + 1 - len(found))
            if len(found) > _REPLAY_LIMIT:
                return None
        owed = found if offset is None else await self._owed(found, after, offset)
        if owed is None:
            return None
        told = _told(owed)
        return told if len(_fitting(told, _REPLAY_LIMIT, self._replay_bytes)) == len(told) else None

    async def _owed(
        self, found: list[records.Message], after: Mapping[str, int], offset: int
    ) -> list[records.Message] | None:
        """Return which of these a client with this offset has not; None when nobody knows.

        Where several nodes commit, a message may be told before one of another chat with a smaller position:
        the offset then speaks of its own chat only, in which messages are told in order, and of what was
        known before.
        """
        behind = [one for one in found if one.position > offset]
        if self._log.orders_all_chats() or not found:
            return behind
        if any(one.position == offset for one in found):
            return behind if len({one.chat_id for one in found}) == 1 else None
        return found if await self._is_newest_known(after, offset) else None

    async def _is_newest_known(self, after: Mapping[str, int], offset: int) -> bool:
        """Whether the offset names the newest message that a client is known to have in its chat.

        Then all is known that was told before it.
        """
        for chat_id, seq in after.items():
            known = await self._log.read(chat_id, after=seq - 1, before=seq + 1, limit=1)
            if known and known[0].position == offset:
                return True
        return False

    async def _between(
        self, chat_id: str, after: Mapping[str, int], upto: Mapping[str, int], limit: int
    ) -> list[records.Message]:
        if after[chat_id] >= upto[chat_id]:
            return []
        return await self._log.read(chat_id, after=after[chat_id], before=upto[chat_id] + 1, limit=limit)


def _told(found: list[records.Message]) -> list[MessageNew]:
    """Messages as they would have been told, in the order of all chats."""
    found.sort(key=lambda message: message.position)
    return [MessageNew(message=wire.message(one), position=one.position) for one in found]


def _fitting(messages: list[MessageNew], most: int, room: int) -> list[MessageNew]:
    """Cut a list of messages at `most` of them, and where they take more than `room` bytes."""
    for index, one in enumerate(messages):
        room -= len(msgspec.json.encode(one.message))
        if index == most or room < 0:
            return messages[:index]
    return messages
