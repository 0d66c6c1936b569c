"""The connected clients of this node, by socket and by user (docs/life-of-a-message.md)."""

import asyncio
from collections.abc import Collection

from hubbub.chat.messages import Committing
from hubbub.chat.trail import Trail
from hubbub.cluster.base import Connection
from hubbub.socketio import Socket

NAMESPACE = "/chat"


class Client:
    """One socket and the user behind it."""

    __slots__ = (
        "arriving",
        "ended",
        "expires_at",
        "is_in",
        "is_over",
        "last_send",
        "refused",
        "revocations",
        "rooms",
        "socket",
        "trail",
        "who",
    )

    def __init__(self, socket: Socket, who: Connection, trail: Trail, expires_at: int) -> None:
        self.socket = socket
        self.who = who
        self.trail = trail
        # When the token ends, in Unix milliseconds.
        self.expires_at = expires_at

        # Rooms it is in, and the `seq` from behind which it gets each chat's messages as they come.
        self.rooms: dict[str, int] = {}

        # Work that later requests wait for: telling of its arrival; its last message that is not committed
        # yet.
        self.arriving: asyncio.Task[None] | None = None
        self.last_send: Committing | None = None
        # Whether it was welcomed, and whether it was told to go, perhaps before that.
        self.is_in = False
        self.is_over = False
        # Set when everything about it has been cleared away; made by whoever waits for that.
        self.ended: asyncio.Event | None = None
        # How often its user lost a chat: an entering of rooms under way meanwhile has to be checked again.
        self.revocations = 0
        # Requests refused for their number, one after the other.
        self.refused = 0

    def end(self) -> None:
        """Disconnect it: at once, or as soon as it is in."""
        self.is_over = True
        if self.is_in:
            self.socket.disconnect(close=True)


class Clients:
    """All clients of this node, those on the way in included: what their users lose concerns them too."""

    def __init__(self) -> None:
        self._by_socket: dict[str, Client] = {}
        self._by_user: dict[str, dict[str, Client]] = {}

    async def add(self, client: Client) -> None:
        """Remember a client, before it is let in, until `discard`.

        One with the same socket id is disconnected first, and everything about it cleared away: nothing that
        is kept by that id ever belongs to two of them.
        """
        while (holder := self._by_socket.get(client.who.socket_id)) is not None:
            holder.ended = holder.ended or asyncio.Event()
            holder.end()
            await holder.ended.wait()
        self._by_socket[client.who.socket_id] = client
        self._by_user.setdefault(client.who.user_id, {})[client.who.socket_id] = client

    def discard(self, client: Client) -> None:
        """Forget a client, if it was added."""
        if client.ended is not None:
            client.ended.set()
        if self._by_socket.get(client.who.socket_id) is not client:
            return
        del self._by_socket[client.who.socket_id]
        mine = self._by_user[client.who.user_id]
        del mine[client.who.socket_id]
        if not mine:
            del self._by_user[client.who.user_id]

    def find(self, socket_id: str) -> Client | None:
        """Return the client of a socket."""
        return self._by_socket.get(socket_id)

    def all(self) -> list[Client]:
        """Return all clients."""
        return list(self._by_socket.values())

    def of_user(self, user_id: str) -> Collection[Client]:
        """Return the clients of a user."""
        return self._by_user.get(user_id, {}).values()

    def __len__(self) -> int:
        return len(self._by_socket)
