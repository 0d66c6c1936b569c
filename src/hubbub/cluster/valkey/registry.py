"""The registry of many nodes: every node keeps its own sockets, and Valkey the union of all (decision 14).

    a call -> what this node knows is changed -> what that is now, said to Valkey -> the answer from there

So whatever Valkey loses is said again, and while it is away the answers are those of this node alone.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TypeVar

import msgspec

from hubbub.cluster.base import (
    Connection,
    Missed,
    Occupancy,
    PresentUser,
    Reaped,
    StatusCounts,
    Telling,
    ToEveryone,
    ToRoom,
    ToUsers,
    TypingEntry,
)
from hubbub.cluster.valkey import plans, views
from hubbub.cluster.valkey.batches import Away
from hubbub.cluster.valkey.counts import RoomCounts
from hubbub.cluster.valkey.membership import Membership
from hubbub.contract import events

T = TypeVar("T")


class ValkeyRegistry:
    """Implements `cluster.base.Registry`. Must be closed."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._keys = membership.keys
        self._ours = membership.ours
        self._own = membership.ours.registry
        self._counts = RoomCounts(membership)

    async def close(self) -> None:
        """Ask nothing any more."""
        await self._counts.close()

    def heard(self, telling: Telling) -> None:
        """Learn from the bus what other nodes have changed."""
        if isinstance(telling, ToRoom) and isinstance(telling.event, events.Membership):
            self._counts.changed(telling.chat_id, telling.event.online_count)
        elif isinstance(telling, Missed):
            self._counts.all_changed()
        elif isinstance(telling, ToEveryone | ToUsers) and isinstance(
            telling.event, events.UserStatusChanged
        ):
            self._own.note_status(telling.event.user_id, telling.event.new_status)

    # Users.

    async def connect(self, connection: Connection) -> bool:
        """Add a socket; True when its user was not present."""
        first = await self._own.connect(connection)
        try:
            return (await self._membership.say_person(connection.user_id)).first
        except Away:
            if first:
                self._ours.told_alone.add(connection.user_id)
            return first

    async def disconnect(self, connection: Connection) -> int | None:
        """Remove a socket, from its rooms too; the number of the departure when it was its user's last."""
        user_id = connection.user_id
        if not self._own.has_socket(connection.socket_id):
            return None
        rooms = self._own.rooms_of(connection.socket_id)
        local = await self._own.disconnect(connection)
        for chat_id in rooms:
            self._counts.changed(chat_id)
        try:
            places = asyncio.gather(*(self._membership.say_place(chat_id, user_id) for chat_id in rooms))
            person, _ = await asyncio.gather(self._membership.say_person(user_id), places)
        except Away:
            return None if local is None else self._ours.departed_alone(user_id, local)
        except asyncio.CancelledError:
            self._membership.doubt()
            raise
        if local is None:
            return None
        return await self._ours.departed(user_id, local, person.departure)

    async def forget(self, user_id: str, departure: int) -> PresentUser | None:
        """End a user's presence, if the user has not come back since that departure."""
        try:
            work = partial(plans.forget, self._keys, user_id, departure)
            answer = await self._membership.change(user_id, work)
        except Away:
            mine = await self._ours.forget(user_id, departure)
            if mine is not None:
                self._ours.told_gone.add(user_id)
            return mine
        was_lost = self._ours.was_lost(user_id, departure)
        touched = None if isinstance(answer, str) or answer is None else self._ours.touched(answer)
        mine = await self._ours.forget(user_id, departure)
        return mine if was_lost and isinstance(answer, str) else touched

    def touch(self, user_id: str, now: int) -> None:
        """Note that a user has just done something; told to the others within a second or so."""
        self._ours.touch(user_id, now)

    async def set_status(self, user_id: str, status: str) -> str | None:
        """Set a present user's status; return the one before, or None when the user is not present."""
        before = await self._own.set_status(user_id, status)
        work = partial(plans.status, self._keys, user_id, status)
        return await _unless_away(self._membership.change(user_id, work), before)

    async def user(self, user_id: str) -> PresentUser | None:
        """Return a present user."""
        try:
            found = await self._membership.ask(partial(views.user, self._keys, user_id))
        except Away:
            return await self._own.user(user_id)
        return None if found is None else self._ours.touched(found)

    async def users(self, after: str, limit: int) -> list[PresentUser]:
        """Return present users."""
        try:
            found = await self._membership.ask(
                partial(views.page, self._keys, self._keys("users"), after, limit)
            )
        except Away:
            return await self._own.users(after, limit)
        return [self._ours.touched(user) for user in found]

    async def users_among(self, user_ids: AbstractSet[str], limit: int) -> tuple[list[PresentUser], int]:
        """Return the first `limit` present users of a set, and how many of the set are present in all."""
        try:
            found, count = await self._membership.ask(
                partial(views.among, self._keys, sorted(user_ids), limit)
            )
        except Away:
            return await self._own.users_among(user_ids, limit)
        return [self._ours.touched(user) for user in found], count

    async def count_users(self) -> int:
        """Return the number of present users."""
        work = self._membership.ask(partial(views.count, ("ZCARD", self._keys("users"))))
        return await _unless_away(work, await self._own.count_users())

    async def status_counts(self) -> StatusCounts:
        """Return the number of present users by status."""
        work = self._membership.ask(partial(views.statuses, self._keys))
        return await _unless_away(work, await self._own.status_counts())

    # Rooms.

    async def enter(self, chat_id: str, connection: Connection) -> Occupancy:
        """Put a socket into a room, unless it is not connected (any more)."""
        return await self._moved(chat_id, connection.user_id, await self._own.enter(chat_id, connection))

    async def leave(self, chat_id: str, connection: Connection) -> Occupancy:
        """Take a socket out of a room."""
        return await self._moved(chat_id, connection.user_id, await self._own.leave(chat_id, connection))

    async def _moved(self, chat_id: str, user_id: str, own: Occupancy) -> Occupancy:
        self._counts.changed(chat_id)
        try:
            left = await self._membership.say_place(chat_id, user_id)
        except Away:
            self._counts.changed(chat_id)
            return own
        self._counts.changed(chat_id, left.occupancy.online)
        return msgspec.structs.replace(left.occupancy, changed=own.changed)

    async def room_users(self, chat_id: str, after: str, limit: int) -> list[PresentUser]:
        """Return the users in a room."""
        try:
            found = await self._membership.ask(
                partial(views.page, self._keys, self._keys("in", chat_id), after, limit)
            )
        except Away:
            return await self._own.room_users(chat_id, after, limit)
        return [self._ours.touched(user) for user in found]

    async def room_count(self, chat_id: str) -> int:
        """Return the number of distinct users in a room; for a room of this node's, mostly from memory."""
        known = self._counts.fresh(chat_id)
        if known is not None:
            return known
        try:
            (count,) = await self._counts.ask([chat_id])
        except Away:
            return await self._own.room_count(chat_id)
        return count

    def look_up_room_count(self, chat_id: str) -> None:
        """Have the number known soon, if it is not."""
        self._counts.look_up(chat_id)

    def known_room_count(self, chat_id: str) -> int:
        """Return the number as it was asked for or heard of last; while Valkey is away, that of this node."""
        return self._counts.known(chat_id)

    # Typing.

    async def start_typing(self, entry: TypingEntry) -> bool:
        """Note that a user is typing; True when the user was not typing in that chat before."""
        began = await self._own.start_typing(entry)
        return await _unless_away(self._membership.say_typing(entry), began)

    async def stop_typing(self, chat_id: str, user_id: str) -> bool:
        """Note that a user has stopped; True when the user was typing in that chat."""
        ended = await self._own.stop_typing(chat_id, user_id)
        try:
            work = partial(plans.stop_typing, self._keys, chat_id, user_id)
            return await self._membership.change(user_id, work) is not None
        except Away:
            return ended

    async def typing(self, chat_id: str) -> list[TypingEntry]:
        """Return who is typing in a chat, the longest first."""
        work = self._membership.ask(partial(views.typing, self._keys, chat_id))
        return await _unless_away(work, await self._own.typing(chat_id))

    def may_be_typing(self, chat_id: str, user_id: str) -> bool:
        """Whether a user may be typing: it may have begun on another node."""
        return True

    async def count_typing(self) -> int:
        """Return the number of distinct users typing, over all chats."""
        work = self._membership.ask(partial(views.count, ("SCARD", self._keys("typists"))))
        return await _unless_away(work, await self._own.count_typing())

    async def reap(self, grace: float) -> Reaped:
        """Clear away what dead nodes left, each thing once over all nodes."""
        return await self._membership.reap(grace)


async def _unless_away(work: Awaitable[T], instead: T) -> T:
    """Wait for what Valkey says; `instead` is the answer while it is away."""
    try:
        return await work
    except Away:
        return instead
