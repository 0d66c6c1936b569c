"""A client that comes in and joins one room."""

from collections.abc import Callable

from benchmarks.load.arrivals import Newcomer
from benchmarks.load.client import CONNECT, LoadError, event
from benchmarks.load.plan import Endpoint, Room
from benchmarks.load.wire import ACK

_JOIN_ID = 0


def join_packet(chat: str) -> bytes:
    """Ask to join a room; the ack has number 0."""
    return b"42/chat,%d%b" % (_JOIN_ID, event("join:chat", {"chatId": chat}))


class Guest(Newcomer):
    """`welcome` is called when it has joined. Later acks come to `acknowledged`, messages to `message`."""

    __slots__ = ("inside", "room")

    def __init__(
        self, number: int, endpoint: Endpoint, room: Room, place: int, welcome: Callable[[], None]
    ) -> None:
        super().__init__(number, endpoint, room.auths[place], welcome)
        self.room = room
        self.inside = False

    def packet(self, payload: bytes) -> None:
        """Join when CONNECT is answered; then tell what comes apart."""
        if payload.startswith(b'42/chat,["message:new",'):
            self.heard += 1
            self.message(payload)
        elif payload.startswith(ACK):
            if b'"success":true' not in payload:
                raise LoadError(f"client {self.number} was refused: {payload[:300]!r}")
            if self.inside:
                self.acknowledged(payload)
            else:
                self.inside = True
                self.welcome()
        elif payload.startswith(CONNECT):
            self.connected(payload)
        else:
            super().packet(payload)

    def connected(self, payload: bytes) -> None:
        """Act on the answer to CONNECT."""
        self.once()
        self.send(join_packet(self.room.chat))

    def message(self, payload: bytes) -> None:
        """Act on a message."""

    def acknowledged(self, payload: bytes) -> None:
        """Act on the answer to a request."""
