"""The registry of one process: dicts for looking up, lists kept in order for paging.

Inserting into an ordered list of ids is a binary search and one `memmove`: 1 us at 5000 entries, well below
what the rest of a join costs, so no page is ever sorted.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final

from hubbub.cluster.base import Connection, Occupancy, PresentUser, Reaped, StatusCounts, TypingEntry

ONLINE: Final = "online"
"""The status that a user comes with."""


class _User:
    """A present user; `sockets` oldest first. `snapshot` is what was told last, None after a change."""

    __slots__ = ("connected_at", "departures", "last_seen", "newest", "snapshot", "sockets", "status")

    def __init__(self, connection: Connection) -> None:
        self.sockets: list[Connection] = []
        self.status = ONLINE
        self.last_seen = connection.connected_at
        self.departures = 0
        self.add(connection)

    def add(self, connection: Connection) -> None:
        self.sockets.append(connection)
        self._sockets_changed()
        self.last_seen = max(self.last_seen, connection.connected_at)

    def remove(self, connection: Connection) -> None:
        self.sockets = [socket for socket in self.sockets if socket.socket_id != connection.socket_id]
        if self.sockets:
            self._sockets_changed()
        else:
            self.departures += 1

    def _sockets_changed(self) -> None:
        self.newest = self.sockets[-1]
        self.connected_at = self.sockets[0].connected_at
        self.snapshot: PresentUser | None = None

    def told(self) -> PresentUser:
        """The user as others see it; the same object as long as nothing changes."""
        if self.snapshot is None:
            newest = self.newest
            self.snapshot = PresentUser(
                user_id=newest.user_id,
                username=newest.username,
                email=newest.email,
                status=self.status,
                last_seen=self.last_seen,
                connected_at=self.connected_at,
                newest=newest,
            )
        return self.snapshot


class _Room:
    """A chat's room: how many sockets each user has in it, and the users' ids in order."""

    __slots__ = ("devices", "order")

    def __init__(self) -> None:
        self.devices: dict[str, int] = {}
        self.order: list[str] = []


class LocalRegistry:
    """Implements `cluster.base.Registry`."""

    def __init__(self) -> None:
        self._users: dict[str, _User] = {}
        self._order: list[str] = []
        self._statuses: dict[str, int] = {}
        # None for a connected socket that is in no room: most never need the set.
        self._rooms_of: dict[str, set[str] | None] = {}
        self._rooms: dict[str, _Room] = {}
        self._typing: dict[str, dict[str, TypingEntry]] = {}
        self._typists: dict[str, int] = {}

    async def connect(self, connection: Connection) -> bool:
        """Add a socket; True when its user was not present."""
        self._rooms_of[connection.socket_id] = None
        user = self._users.get(connection.user_id)
        if user is not None:
            user.add(connection)
            return False
        self._users[connection.user_id] = _User(connection)
        insort(self._order, connection.user_id)
        _count(self._statuses, ONLINE, 1)
        return True

    async def disconnect(self, connection: Connection) -> int | None:
        """Remove a socket, from its rooms too; the number of the departure when it was its user's last."""
        if connection.socket_id not in self._rooms_of:
            return None
        for chat_id in self._rooms_of[connection.socket_id] or ():
            self._take_out(chat_id, connection.user_id)
        del self._rooms_of[connection.socket_id]
        user = self._users[connection.user_id]
        user.remove(connection)
        return None if user.sockets else user.departures

    async def forget(self, user_id: str, departure: int) -> PresentUser | None:
        """End a user's presence, if the user has not come back since that departure."""
        user = self._users.get(user_id)
        if user is None or user.sockets or user.departures != departure:
            return None
        del self._users[user_id]
        _drop(self._order, user_id)
        _count(self._statuses, user.status, -1)
        return user.told()

    def touch(self, user_id: str, now: int) -> None:
        """Note that a user has just done something."""
        user = self._users.get(user_id)
        if user is not None:
            user.last_seen = now
            user.snapshot = None

    async def set_status(self, user_id: str, status: str) -> str | None:
        """Set a present user's status; return the one before, or None when the user is not present."""
        return self.note_status(user_id, status)

    def note_status(self, user_id: str, status: str) -> str | None:
        """Do what `set_status` does."""
        user = self._users.get(user_id)
        if user is None:
            return None
        before, user.status = user.status, status
        user.snapshot = None
        _count(self._statuses, before, -1)
        _count(self._statuses, status, 1)
        return before

    async def user(self, user_id: str) -> PresentUser | None:
        """Return a present user."""
        user = self._users.get(user_id)
        return None if user is None else user.told()

    async def users(self, after: str, limit: int) -> list[PresentUser]:
        """Return present users."""
        return self._told(_page(self._order, after, limit))

    async def users_among(self, user_ids: AbstractSet[str], limit: int) -> tuple[list[PresentUser], int]:
        """Return the first `limit` present users of a set, and how many of the set are present in all."""
        present = self._users.keys() & user_ids
        if len(present) ** 2 > limit * len(self._order):
            # So many that the first of them are found sooner by going through everybody in order.
            first = list(islice((user_id for user_id in self._order if user_id in present), limit))
        else:
            first = sorted(present)[:limit]
        return self._told(first), len(present)

    async def count_users(self) -> int:
        """Return the number of present users."""
        return len(self._users)

    async def status_counts(self) -> StatusCounts:
        """Return the number of present users by status."""
        counts = self._statuses
        return StatusCounts(
            online=counts.get(ONLINE, 0), away=counts.get("away", 0), busy=counts.get("busy", 0)
        )

    async def enter(self, chat_id: str, connection: Connection) -> Occupancy:
        """Put a socket into a room, unless it is not connected (any more)."""
        user_id = connection.user_id
        rooms = self._rooms_of.get(connection.socket_id)
        if connection.socket_id not in self._rooms_of or (rooms is not None and chat_id in rooms):
            return self._occupancy(chat_id, user_id, changed=False)
        if rooms is None:
            rooms = self._rooms_of[connection.socket_id] = set()
        rooms.add(chat_id)
        room = self._rooms.get(chat_id)
        if room is None:
            room = self._rooms[chat_id] = _Room()
        if user_id not in room.devices:
            insort(room.order, user_id)
        _count(room.devices, user_id, 1)
        return self._occupancy(chat_id, user_id, changed=True)

    async def leave(self, chat_id: str, connection: Connection) -> Occupancy:
        """Take a socket out of a room."""
        rooms = self._rooms_of.get(connection.socket_id)
        if rooms is None or chat_id not in rooms:
            return self._occupancy(chat_id, connection.user_id, changed=False)
        rooms.remove(chat_id)
        self._take_out(chat_id, connection.user_id)
        return self._occupancy(chat_id, connection.user_id, changed=True)

    async def room_users(self, chat_id: str, after: str, limit: int) -> list[PresentUser]:
        """Return the users in a room."""
        room = self._rooms.get(chat_id)
        return [] if room is None else self._told(_page(room.order, after, limit))

    async def room_count(self, chat_id: str) -> int:
        """Return the number of distinct users in a room."""
        return self.known_room_count(chat_id)

    def look_up_room_count(self, chat_id: str) -> None:
        """It is always known."""

    def known_room_count(self, chat_id: str) -> int:
        """Return the same."""
        room = self._rooms.get(chat_id)
        return 0 if room is None else len(room.order)

    async def start_typing(self, entry: TypingEntry) -> bool:
        """Note that a user is typing; True when the user was not typing in that chat before."""
        entries = self._typing.setdefault(entry.chat_id, {})
        if entry.user_id in entries:
            return False
        entries[entry.user_id] = entry
        _count(self._typists, entry.user_id, 1)
        return True

    async def stop_typing(self, chat_id: str, user_id: str) -> bool:
        """Note that a user has stopped; True when the user was typing in that chat."""
        entries = self._typing.get(chat_id)
        if entries is None or entries.pop(user_id, None) is None:
            return False
        if not entries:
            del self._typing[chat_id]
        _count(self._typists, user_id, -1)
        return True

    async def typing(self, chat_id: str) -> list[TypingEntry]:
        """Return who is typing in a chat, the longest first."""
        return list(self._typing.get(chat_id, {}).values())

    def may_be_typing(self, chat_id: str, user_id: str) -> bool:
        """Whether a user is typing in a chat."""
        return user_id in self._typing.get(chat_id, {})

    async def count_typing(self) -> int:
        """Return the number of distinct users typing, over all chats."""
        return len(self._typists)

    async def reap(self, grace: float) -> Reaped:
        """There are no other nodes."""
        return Reaped()

    # What a registry over several nodes needs to know of this one.

    def has_socket(self, socket_id: str) -> bool:
        """Whether a socket is connected."""
        return socket_id in self._rooms_of

    def has_user(self, user_id: str) -> bool:
        """Whether a user is present."""
        return user_id in self._users

    def connected_user(self, user_id: str) -> PresentUser | None:
        """Return a user who has a socket now."""
        user = self._users.get(user_id)
        return user.told() if user is not None and user.sockets else None

    def connected_users(self) -> list[PresentUser]:
        """Return all users who have a socket now."""
        return [user.told() for user in self._users.values() if user.sockets]

    def devices(self, chat_id: str, user_id: str) -> int:
        """Return how many sockets a user has in a room."""
        room = self._rooms.get(chat_id)
        return 0 if room is None else room.devices.get(user_id, 0)

    def has_room(self, chat_id: str) -> bool:
        """Whether anybody is in a room."""
        return chat_id in self._rooms

    def places(self) -> list[tuple[str, str]]:
        """Return every pair of a room and a user in it."""
        return [(chat_id, user_id) for chat_id, room in self._rooms.items() for user_id in room.order]

    def rooms_of(self, socket_id: str) -> list[str]:
        """Return the rooms that a socket is in."""
        return list(self._rooms_of.get(socket_id) or ())

    def all_typing(self) -> list[TypingEntry]:
        """Return who is typing, in whichever chat."""
        return [entry for entries in self._typing.values() for entry in entries.values()]

    def _told(self, user_ids: Iterable[str]) -> list[PresentUser]:
        users = self._users
        return [(user := users[user_id]).snapshot or user.told() for user_id in user_ids]

    def _occupancy(self, chat_id: str, user_id: str, *, changed: bool) -> Occupancy:
        room = self._rooms.get(chat_id)
        if room is None:
            return Occupancy(online=0, devices=0, changed=changed)
        return Occupancy(online=len(room.order), devices=room.devices.get(user_id, 0), changed=changed)

    def _take_out(self, chat_id: str, user_id: str) -> None:
        room = self._rooms[chat_id]
        _count(room.devices, user_id, -1)
        if user_id not in room.devices:
            _drop(room.order, user_id)
        if not room.order:
            del self._rooms[chat_id]


def _count(counts: dict[str, int], key: str, step: int) -> None:
    """Count a key up or down; a count of 0 is not kept."""
    count = counts.get(key, 0) + step
    if count:
        counts[key] = count
    else:
        del counts[key]


def _page(order: list[str], after: str, limit: int) -> list[str]:
    start = bisect_right(order, after)
    return order[start : start + limit]


def _drop(order: list[str], user_id: str) -> None:
    del order[bisect_left(order, user_id)]
