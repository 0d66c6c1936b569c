"""A socket: one client in one namespace, as the application sees it.

It is handed to every call of a `Namespace`. What it sends goes straight to the engine session below; rooms
are kept by the namespace; leaving is up to the connection, which has to tell the client and the application.
"""

import asyncio
import secrets
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Protocol

from hubbub.engineio import Handshake, Session, prepare_binary, prepare_text
from hubbub.socketio.outgoing import Outgoing
from hubbub.socketio.packets import Ack, Encoded, encode_ack, encode_event
from hubbub.socketio.rooms import Rooms

# As many characters as Socket.IO's own ids have or more; 128 bits, since it must not be guessed.
_ID_BYTES = 16
_NO_ROOMS: frozenset[str] = frozenset()


class NotConnectedError(Exception):
    """The client is gone, or has left the namespace, before it answered."""


class State(Enum):
    """Where a socket stands in its life."""

    CONNECTING = "connecting"  # `Namespace.connect` decides
    CONNECTED = "connected"
    LEAVING = "leaving"  # nothing reaches the client any more; events that came before are still handled
    LEFT = "left"  # `Namespace.disconnected` was called, or never will be


class Owner(Protocol):
    """What a socket belongs to: its connection."""

    def leave(self, socket: "Socket", *, close: bool) -> None:
        """End the socket's stay in its namespace; that of all its sockets and the connection if `close`."""


class Socket:
    """One client in one namespace.

    `id` is unique in the namespace. `handshake` has the facts of the request that opened the connection.
    `data` is the application's own. Use on the event loop's thread only.
    """

    __slots__ = (
        "_acks",
        "_ended",
        "_last_ack_id",
        "_owner",
        "_rooms",
        "admission",
        "data",
        "id",
        "joined",
        "namespace",
        "reason",
        "recovers",
        "rooms_left",
        "session",
        "state",
    )

    def __init__(self, namespace: str, session: Session, rooms: "Rooms[Socket]", owner: Owner) -> None:
        self.id = secrets.token_urlsafe(_ID_BYTES)
        self.namespace = namespace
        self.session = session
        self.data: object = None

        # Life. `reason` says why it ended, in Socket.IO's words.
        self.state = State.CONNECTING
        self.reason = ""
        self._owner = owner
        self._ended: asyncio.Future[None] | None = None
        # The task that asks the application whether it may enter.
        self.admission: asyncio.Task[None] | None = None

        # Rooms. `joined` is made with the first one. `recovers`: it gets events with their offset.
        self.recovers = False
        self._rooms = rooms
        self.joined: set[str] | None = None
        self.rooms_left: AbstractSet[str] = _NO_ROOMS

        # Events that the client has to answer, by ack id.
        self._acks: dict[int, asyncio.Future[list[object] | None]] | None = None
        self._last_ack_id = 0

    # What the application uses.

    @property
    def handshake(self) -> Handshake:
        """The facts of the request that opened the connection."""
        return self.session.handshake

    @property
    def connected(self) -> bool:
        """Whether what is sent can still reach the client."""
        return self.state is State.CONNECTED

    @property
    def rooms(self) -> AbstractSet[str]:
        """The rooms it is in; after the end none. `rooms_left` then has those it was in."""
        return _NO_ROOMS if self.joined is None else self.joined

    def emit(self, name: str, *args: object) -> None:
        """Send an event to this client. Without effect once the client is gone.

        Raises `ValueError` for a reserved name and more than 10 attachments.
        """
        self._send(encode_event(self.namespace, name, args))

    async def call(self, name: str, *args: object, timeout: float) -> list[object]:
        """Send an event and return what the client answers.

        Raises `TimeoutError` after `timeout` seconds and `NotConnectedError` when the client is gone.
        """
        if self.state is not State.CONNECTED:
            raise NotConnectedError
        if self._acks is None:
            self._acks = {}
        self._last_ack_id += 1
        ack_id = self._last_ack_id
        self._send(encode_event(self.namespace, name, args, ack_id))
        waiting = self._acks[ack_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                answer: list[object] | None = await waiting
        finally:
            del self._acks[ack_id]
        if answer is None:
            raise NotConnectedError
        return answer

    def send(self, packet: Outgoing) -> None:
        """Send an event that `Server.encode` made. Without effect once the client is gone."""
        if self.state is State.CONNECTED:
            for prepared in packet.marked if self.recovers else packet.plain:
                self.session.send(prepared)

    def join(self, room: str) -> None:
        """Get what is sent to the room from now on. Not to be called before `Namespace.connected`."""
        if self.state is State.CONNECTING:
            raise RuntimeError("a socket can join rooms from `connected` on, not in `connect`")
        if self.state is State.LEFT:
            return
        if self.joined is None:
            self.joined = set()
        self.joined.add(room)
        if self.state is State.CONNECTED:
            self._rooms.join(self, room)

    def leave(self, room: str) -> None:
        """Leave a room; nothing happens when it is not in it."""
        if self.joined is not None:
            self.joined.discard(room)
        self._rooms.leave(self, room)

    def disconnect(self, close: bool = False) -> None:
        """End the client's stay in the namespace; with `close` its stay in all of them, and the connection.

        The client is told and does not come back by itself. Events of it that no handler has begun are
        dropped. `Namespace.disconnected` is called later, never from inside this call.
        """
        if self.state is State.CONNECTING:
            raise RuntimeError("a socket that is not connected yet is refused by raising `ConnectionRefused`")
        self._owner.leave(self, close=close)

    # What the connection uses.

    def admit(self, sid: str, *, recovers: bool) -> None:
        """The application welcomed it."""
        self.id = sid
        self.recovers = recovers
        self.state = State.CONNECTED
        self.admission = None
        self._rooms.everyone.add(self)

    def answer(self, ack_id: int, args: Sequence[object]) -> None:
        """Acknowledge an event of the client. Raises `ValueError` for more than 10 attachments."""
        self._send(encode_ack(self.namespace, args, ack_id))

    def take_answer(self, ack: Ack) -> bool:
        """The client acknowledged something; ignored, and False, unless `call` waits for just that."""
        waiting = None if self._acks is None else self._acks.get(ack.ack_id)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(ack.args)
        return True

    def withdraw(self, reason: str) -> None:
        """Nothing can reach the client any more: leave the fan-out and give up waiting for answers."""
        self.state = State.LEAVING
        self.reason = reason
        self._rooms.everyone.discard(self)
        for room in self.rooms:
            self._rooms.leave(self, room)
        for waiting in (self._acks or {}).values():
            if not waiting.done():
                waiting.set_result(None)

    def end(self) -> None:
        """Be done, before the application is told."""
        self.state = State.LEFT
        self.rooms_left = frozenset(self.rooms)
        self.joined = None

    def told(self) -> None:
        """The application was told."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def wait_ended(self) -> None:
        """Wait until the application was told of the end."""
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._ended)

    def _send(self, encoded: Encoded) -> None:
        """Queue a packet with its attachments, if the client is there."""
        if self.state is State.CONNECTED:
            text, attachments = encoded
            self.session.send(prepare_text(text))
            for attachment in attachments:
                self.session.send(prepare_binary(attachment))
