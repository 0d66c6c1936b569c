"""Namespaces: what an application implements, and what the server keeps for each of them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hubbub.engineio import Flusher
from hubbub.socketio.deferred import Deferred
from hubbub.socketio.rooms import Rooms
from hubbub.socketio.sockets import Socket

log = logging.getLogger(__name__)

Ack = Sequence[object] | Deferred[Sequence[object]] | None
"""What an event is acknowledged with: arguments, arguments to come, or nothing."""


class ConnectionRefused(Exception):
    """The client may not enter: it gets CONNECT_ERROR with `message` and, unless None, `data`."""

    def __init__(self, message: str, data: object | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class TryAgainLater(Exception):
    """Whether the client may enter cannot be told now: its whole connection is closed.

    So it comes back by itself. Stock clients take CONNECT_ERROR for a refusal and stay away.
    """


@dataclass(frozen=True, slots=True)
class Welcome:
    """The client may enter.

    `sid` becomes the socket's id; a fresh one is made when it is None. A socket that has the id already is
    disconnected, and the application told of that, before the new one is connected.

    `pid` offers connection state recovery: from now on the client takes a string at the end of an event's
    arguments for the event's offset, and when it reconnects it sends `pid` and the last `offset` in its
    `auth`. Welcoming it with the same `pid` and `sid` sets `socket.recovered` there; sending what it missed
    is up to the application.
    """

    sid: str | None = None
    pid: str | None = None


class Namespace(Protocol):
    """The application of one namespace. All calls are made on the event loop's thread.

    For one socket: `connect`, then `connected`, then any number of events, one after the other in the order
    in which they arrived, then `disconnected`. An error that one of these raises is logged as what it is, a
    defect of the application; the connection goes on.
    """

    async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
        """Decide whether the client may enter. `auth` is what it sent for that, empty when it sent nothing.

        Raises `ConnectionRefused` or `TryAgainLater`. Cancelled when the client goes away meanwhile; what it
        claimed has to be given back then, since `disconnected` is called only after `connected`.
        """

    def connected(self, socket: Socket) -> None:
        """The client was told that it is welcome; what is sent from here is what it gets next."""

    async def event(self, socket: Socket, name: str, args: list[object]) -> Ack:
        """Handle an event. The next one of this connection begins when this call returns.

        Returns what the client's acknowledgement gets; it is sent only if the client asked for one. With a
        `Deferred` the next event begins at once and the acknowledgement is sent when that is settled.

        The event may be older than the client's going away: then `socket.connected` is False.
        """

    def ping_sent(self, socket: Socket) -> None:
        """A heartbeat was queued, behind everything sent to the socket until now."""

    def pong(self, socket: Socket) -> None:
        """The client answered the last heartbeat: it has got all that was sent before that."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        """The client is gone, for the `reason` in Socket.IO's words. Called exactly once after `connected`.

        The socket has left its rooms; `socket.rooms_left` has them.
        """


class Space:
    """What the server keeps for one namespace: its application, its sockets by id, its rooms."""

    __slots__ = ("application", "name", "rooms", "sockets")

    def __init__(self, name: str, application: Namespace, flusher: Flusher) -> None:
        self.name = name
        self.application = application
        # Those that `connected` was called for and `disconnected` was not.
        self.sockets: dict[str, Socket] = {}
        self.rooms: Rooms[Socket] = Rooms(flusher)

    async def free(self, sid: str) -> None:
        """Disconnect the socket that has this id, if any, and wait until the application knows."""
        while (holder := self.sockets.get(sid)) is not None:
            holder.disconnect(close=True)
            await holder.wait_ended()

    def finish(self, socket: Socket) -> None:
        """Tell the application that a socket which was withdrawn is gone."""
        socket.end()
        del self.sockets[socket.id]
        self.tell(self.application.disconnected, socket, socket.reason)
        socket.told()

    def tell(self, listener: Callable[..., None], *arguments: object) -> None:
        """Call the application; its errors end here."""
        try:
            listener(*arguments)
        except Exception:
            log.exception("an error in %s of namespace %s", listener.__name__, self.name)
