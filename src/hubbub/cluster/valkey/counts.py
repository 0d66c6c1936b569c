"""How many users are in a room, over all nodes, for those who cannot wait until Valkey has said so.

What was asked for or heard of last is known at once. It is asked for anew when it is two seconds old, or when
somebody came or went: many rooms in one question, and one question at a time.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from hubbub.cluster.valkey import views
from hubbub.cluster.valkey.batches import Away
from hubbub.cluster.valkey.membership import Membership

_FRESH: Final = 2.0
"""Seconds for which a room's count is believed, when nothing is heard of a change."""

_MOST: Final = 50_000
"""Counts that are kept; those of rooms without sockets of this node are among them."""


class RoomCounts:
    """Must be closed."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._own = membership.ours.registry
        # Counts of rooms, and until when they are believed. `_changes` tells whether a count was asked for
        # before the last change was heard of.
        self._counts: dict[str, tuple[int, float]] = {}
        self._changes = 0
        self._wanted: set[str] = set()
        self._asking: asyncio.Task[None] | None = None

    def fresh(self, chat_id: str) -> int | None:
        """Return a room's count, if it is believed to be right."""
        count, until = self._counts.get(chat_id, (0, 0.0))
        return count if time.monotonic() < until else None

    def known(self, chat_id: str) -> int:
        """Return a room's count as far as it is known."""
        known = self._counts.get(chat_id)
        if known is None or self._membership.is_away:
            return self._own.known_room_count(chat_id)
        return known[0]

    def look_up(self, chat_id: str) -> None:
        """Have a count known soon. Never waits."""
        if self.fresh(chat_id) is not None or self._membership.is_away or len(self._wanted) >= _MOST:
            return
        self._wanted.add(chat_id)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_wanted())

    async def ask(self, chat_ids: Sequence[str]) -> list[int]:
        """Have rooms counted. Raises `Away`."""
        changes, keys = self._changes, self._membership.keys
        work = partial(views.counts, [("ZCARD", keys("in", chat_id)) for chat_id in chat_ids])
        counts = await self._membership.ask(work)
        if len(self._counts) + len(counts) > _MOST:
            self._counts.clear()
        until = time.monotonic() + _FRESH
        for chat_id, count in zip(chat_ids, counts, strict=True):
            # Of a room without sockets of this node, nothing is heard.
            is_fresh = changes == self._changes and self._own.has_room(chat_id)
            self._counts[chat_id] = (count, until if is_fresh else 0.0)
        return counts

    def changed(self, chat_id: str, count: int | None = None) -> None:
        """Note that somebody came or went, and the count after that, if it was told."""
        self._changes += 1
        known = self._counts.pop(chat_id, None)
        if count is None and known is not None:
            count = known[0]
        if count is not None and self._own.has_room(chat_id):
            self._counts[chat_id] = (count, 0.0)

    def all_changed(self) -> None:
        """Note that people may have come and gone anywhere."""
        self._changes += 1
        self._counts = {chat_id: (count, 0.0) for chat_id, (count, _) in self._counts.items()}

    async def close(self) -> None:
        """Ask nothing any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait((self._asking,))

    async def _ask_for_wanted(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = list(self._wanted), set()
                await self.ask(wanted)
        except Away:
            """What this node knows by itself has to do."""
        finally:
            self._wanted.clear()
            self._asking = None
