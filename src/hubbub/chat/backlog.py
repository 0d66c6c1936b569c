"""Backlog: what a client missed, as much of it as can be sent at once (docs/life-of-a-message.md).

    positions of a session -> the log -> sorted over all chats -> cut, or given up, where it gets too much

What a recovery sends must fit into the outbox of the socket that recovers, or the socket would be
disconnected for it, again and again.
"""

from collections import Counter, deque
from collections.abc import Container, Mapping
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from hubbub.chat import wire
from hubbub.cluster.base import MessageNew
from hubbub.contract.values import MAX_QUEUE
from hubbub.store import records
from hubbub.store.base import Log

_REPLAY_LIMIT: Final = 5000

_SHORTEST_PAGE: Final = 8
"""Messages that are read of a chat at a time, at least."""

_QUEUE_SHARE: Final = 4
"""A queue may be this part of an outbox: it is sent twice, in the answer and as an event."""


class Missed(msgspec.Struct, frozen=True):
    """What a client missed, oldest first. `truncated`: there is more, to be read by history."""

    messages: list[MessageNew]
    truncated: bool

    def within(self, rooms: Container[str]) -> "Missed":
        """Leave out what is about other rooms than these."""
        return Missed([one for one in self.messages if one.message.chat_id in rooms], self.truncated)


class Offset(msgspec.Struct, frozen=True):
    """What the last message that a client received names: its position, and the node that told it."""

    position: int
    teller: str = ""


class Replay(msgspec.Struct, frozen=True):
    """What a client is owed, in the order of telling, and up to where it has received each chat before."""

    messages: list[MessageNew]
    positions: dict[str, int]


class Backlog:
    """Reads what was missed. `outbox` is the number of bytes that a socket may be sent at once."""

    def __init__(self, log: Log, outbox: int) -> None:
        self._log = log
        self._queue_bytes = outbox // _QUEUE_SHARE
        self._replay_bytes = outbox * 3 // 4

    async def queue(self, after: Mapping[str, int], upto: Mapping[str, int]) -> Missed:
        """Return what lies behind `after` up to `upto` in each chat, as much as a queue may hold.

        No more is read of a chat than may be needed: there may be many, with all of their history missed.
        """
        page = max(_SHORTEST_PAGE, MAX_QUEUE // max(1, len(after)) + 1)
        pages: dict[str, deque[records.Message]] = {}
        oldest: list[tuple[int, str]] = []
        for chat_id, seq in after.items():
            pages[chat_id] = deque(await self._between(chat_id, seq, upto, page))
            if pages[chat_id]:
                oldest.append((pages[chat_id][0].position, chat_id))
        heapify(oldest)
        kept: list[MessageNew] = []
        room = self._queue_bytes
        while oldest:
            _, chat_id = heappop(oldest)
            one = pages[chat_id].popleft()
            kept.append(_told(one))
            room -= _size(kept[-1])
            if len(kept) > MAX_QUEUE or room < 0:
                return Missed(kept[:-1], truncated=True)
            if not pages[chat_id]:
                pages[chat_id].extend(await self._between(chat_id, one.seq, upto, page))
            if pages[chat_id]:
                heappush(oldest, (pages[chat_id][0].position, chat_id))
        return Missed(kept, truncated=False)

    async def replay(
        self,
        after: Mapping[str, int],
        upto: Mapping[str, int],
        offset: Offset | None,
        last_told: records.LastTold | None,
    ) -> Replay | None:
        """Return what Socket.IO's own recovery owes, behind `after` and the client's `offset`, up to `upto`.

        None when it is more than can be sent at once, or when nobody knows what the client has: then it
        begins anew.
        """
        told = last_told if last_told is not None and _begins(last_told, after) else None
        found: list[records.Message] = []
        for chat_id, seq in after.items():
            found += await self._between(chat_id, seq, upto, _REPLAY_LIMIT + 1 - len(found))
            if len(found) > _REPLAY_LIMIT:
                return None
        owed = await self._owed(_in_order(found, told), after, offset, told)
        if owed is None:
            return None
        messages = [_told(one) for one in owed]
        if sum(map(_size, messages)) > self._replay_bytes:
            return None
        number = Counter(one.chat_id for one in owed)
        return Replay(messages, {chat: max(seq, upto[chat] - number[chat]) for chat, seq in after.items()})

    async def _owed(
        self,
        found: list[records.Message],
        after: Mapping[str, int],
        offset: Offset | None,
        told: records.LastTold | None,
    ) -> list[records.Message] | None:
        """Return which of these a client with this offset has not; None when nobody knows.

        Where several nodes commit, a message may be told before one of another chat with a smaller position.
        Where it is not known in which order they were told, the offset speaks of its own chat only, in which
        that is the order of `seq`, and of what was known before.
        """
        if offset is None:
            return found
        if self._log.orders_all_chats():
            return [one for one in found if one.position > offset.position]
        named = next((one for one in found if one.position == offset.position), None)
        if told is not None and told.teller == offset.teller:
            received = _received(told, after, named)
            if received is not None:
                return [one for one in found if one.seq > received.get(one.chat_id, 0)]
        if not found:
            return []
        if named is not None:
            alone = len({one.chat_id for one in found}) == 1
            return [one for one in found if one.position > offset.position] if alone else None
        return found if await self._is_newest_known(after, offset) else None

    async def _is_newest_known(self, after: Mapping[str, int], offset: Offset) -> bool:
        """Whether the offset names the newest message that a client is known to have in its chat.

        Then all is known that was told before it.
        """
        for chat_id, seq in after.items():
            known = await self._log.read(chat_id, after=seq - 1, before=seq + 1, limit=1)
            if known and known[0].position == offset.position:
                return True
        return False

    async def _between(
        self, chat_id: str, after: int, upto: Mapping[str, int], limit: int
    ) -> list[records.Message]:
        if after >= upto[chat_id]:
            return []
        return await self._log.read(chat_id, after=after, before=upto[chat_id] + 1, limit=limit)


def _begins(told: records.LastTold, after: Mapping[str, int]) -> bool:
    """Whether what was told last begins where what is known to have been received ends."""
    return all(seq == after[chat_id] + 1 for chat_id, seq in told.first.items() if chat_id in after)


def _received(
    told: records.LastTold, after: Mapping[str, int], last: records.Message | None
) -> dict[str, int] | None:
    """Return up to where a client has each chat of what was told last, if it has that up to `last`.

    None when that message may be nowhere in it, nor before it.
    """
    if last is None:
        # It was told before all these, unless it is of a chat that is lost by now.
        return {} if told.first.keys() <= after.keys() else None
    messages, place = told.messages(), (last.chat_id, last.seq)
    return dict(messages[: messages.index(place) + 1]) if place in messages else None


def _in_order(found: list[records.Message], told: records.LastTold | None) -> list[records.Message]:
    """Messages as they were told, then as they were committed.

    An offset out of a replay then means the same as one of before it, should nothing else be stored.
    """
    turns = {} if told is None else {message: turn for turn, message in enumerate(told.messages())}
    return sorted(found, key=lambda one: (turns.get((one.chat_id, one.seq), len(turns)), one.position))


def _told(message: records.Message) -> MessageNew:
    """A message as it would have been told."""
    return MessageNew(message=wire.message(message), position=message.position)


def _size(told: MessageNew) -> int:
    """How many bytes a message takes."""
    return len(msgspec.json.encode(told.message))
