"""Typing: who is typing in which chat, told to the others in its room when it begins and when it ends.

Typing ends when the user says so or sends (soon after: no message waits for that), when the socket that said
it last leaves the room, and by itself some time after it was said last. Several sockets of a user are one
typist. Whether somebody was typing is the registry's word, so each end is told once, over all nodes; a
beginning that was not told, in a crowded room, has no end to tell.
"""

import asyncio
from typing import Final

from hubbub.chat.deadlines import Deadlines, Timers
from hubbub.cluster.base import Bus, Connection, Registry, ToRoom, TypingEntry
from hubbub.contract import answers, errors, events, objects
from hubbub.contract.values import iso, now

_MOST_STOPS: Final = 10_000
"""Ends of typing that may wait for the registry; what is beyond them ends by itself."""


class _Typist:
    """A user typing by a socket of this node: the socket that said so last, and whether others were told."""

    __slots__ = ("announced", "who")

    def __init__(self, who: Connection, *, announced: bool) -> None:
        self.who = who
        self.announced = announced


class Typing:
    """Keeps and tells who is typing. `timeout` is in seconds. Must be closed.

    In rooms of more than `broadcast_limit` online users nothing is told.
    """

    def __init__(
        self,
        registry: Registry,
        bus: Bus,
        *,
        broadcast_limit: int,
        timeout: float,
        timers: Timers | None = None,
    ) -> None:
        self._registry = registry
        self._bus = bus
        self._broadcast_limit = broadcast_limit
        # By chat and user.
        self._typists: dict[tuple[str, str], _Typist] = {}
        self._ends: Deadlines[tuple[str, str]] = Deadlines(timeout, self._expired, timers)
        # Users who have sent a message, and whose typing there ends in this turn of the loop or, when the
        # registry takes long, with the next round.
        self._stopped: dict[tuple[str, str], Connection] = {}
        self._stops: Deadlines[tuple[str, str]] = Deadlines(0.0, self._stop, timers)

    async def update(
        self, who: Connection, chat_id: str, is_typing: bool, in_room: bool
    ) -> answers.TypingUpdated:
        """Begin, go on, or stop typing. Raises `RequestError` unless the socket is `in_room`."""
        if not in_room:
            raise errors.not_in_room()
        crowded = self._crowded(chat_id)
        if self._stopped.pop((chat_id, who.user_id), None) is not None:
            # What was typed before the last message is over before this begins.
            await self._end(who, chat_id)
        if is_typing:
            announced = await self._begin(who, chat_id, crowded=crowded)
        else:
            announced = await self._end(who, chat_id) or not crowded
        return answers.TypingUpdated() if announced else answers.TypingUnannounced()

    def stop(self, who: Connection, chat_id: str) -> None:
        """End a user's typing soon, by whichever socket: for a message sent. It need not have begun."""
        if len(self._stopped) < _MOST_STOPS and self._registry.may_be_typing(chat_id, who.user_id):
            self._stopped[chat_id, who.user_id] = who
            self._stops.set((chat_id, who.user_id))

    async def left(self, who: Connection, chat_id: str) -> None:
        """End a user's typing by this socket: for one that leaves the room, while it is still in it."""
        typist = self._typists.get((chat_id, who.user_id))
        if typist is not None and typist.who.socket_id == who.socket_id:
            await self._end(who, chat_id)

    async def users(self, chat_id: str) -> answers.TypingUsers:
        """Return who is typing in a chat, the longest first."""
        return answers.TypingUsers(
            typing_users=[
                objects.TypingUser(
                    user_id=entry.user_id,
                    username=entry.username,
                    chat_id=entry.chat_id,
                    started_at=iso(entry.started_at),
                )
                for entry in await self._registry.typing(chat_id)
            ]
        )

    async def close(self) -> None:
        """End the timers; nothing more ends by itself."""
        await self._stops.close()
        await self._ends.close()

    async def _begin(self, who: Connection, chat_id: str, *, crowded: bool) -> bool:
        """Note that somebody is typing; return whether the others know."""
        entry = TypingEntry(user_id=who.user_id, username=who.username, chat_id=chat_id, started_at=now())
        began = await self._registry.start_typing(entry)
        key = (chat_id, who.user_id)
        typist = self._typists.get(key)
        if typist is None:
            # One who was typing already began on another node, which has told it.
            typist = self._typists[key] = _Typist(who, announced=not began and not crowded)
        elif began:
            # What was told before has ended on another node, or by another socket in the same moment.
            typist.announced = False
        typist.who = who
        self._ends.set(key)
        if not typist.announced and not crowded:
            typist.announced = True
            self._tell(who, chat_id, is_typing=True)
        return typist.announced

    async def _end(self, who: Connection, chat_id: str) -> bool:
        """Note that somebody is typing no more; return whether that was told."""
        key = (chat_id, who.user_id)
        typist = self._typists.pop(key, None)
        self._ends.cancel(key)
        if not await self._registry.stop_typing(chat_id, who.user_id):
            return False
        announced = not self._crowded(chat_id) if typist is None else typist.announced
        if announced:
            self._tell(who, chat_id, is_typing=False)
        return announced

    async def _stop(self, keys: list[tuple[str, str]]) -> None:
        stopped = [(who, key[0]) for key in keys if (who := self._stopped.pop(key, None)) is not None]
        await asyncio.gather(*(self._end(who, chat_id) for who, chat_id in stopped))

    async def _expired(self, keys: list[tuple[str, str]]) -> None:
        for key in keys:
            typist = self._typists.get(key)
            # Said once more while the keys before this one were seen to: then it has a deadline again.
            if typist is not None and key not in self._ends:
                await self._end(typist.who, key[0])

    def _crowded(self, chat_id: str) -> bool:
        self._registry.look_up_room_count(chat_id)
        return self._registry.known_room_count(chat_id) > self._broadcast_limit

    def _tell(self, who: Connection | TypingEntry, chat_id: str, *, is_typing: bool) -> None:
        event = events.UserTyping(
            user_id=who.user_id,
            username=who.username,
            chat_id=chat_id,
            is_typing=is_typing,
            timestamp=iso(now()),
        )
        self._bus.publish(ToRoom(chat_id=chat_id, event=event, skip_user=who.user_id))

    def abandoned(self, entry: TypingEntry) -> None:
        """Tell the others that the typing of a user on a dead node has ended."""
        self._tell(entry, entry.chat_id, is_typing=False)
