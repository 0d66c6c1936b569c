"""One client in a room: its acks, and the sending of the next message when one came."""

from dataclasses import dataclass, field

from benchmarks.load.client import CONNECT, Client, event
from benchmarks.load.plan import Endpoint, Room
from benchmarks.load.transcript import Deviation, Transcript
from benchmarks.load.wire import ACK

_CONTENT = "The quick brown fox jumps over the lazy dog"
_PROBLEMS_KEPT = 5
_JOIN_ID = 0


@dataclass(slots=True)
class Conversation:
    """What the members of one room share."""

    room: Room
    transcript: Transcript = field(default_factory=Transcript)
    talking: bool = False
    joined: int = 0
    sent: int = 0
    acknowledged: int = 0
    asides: int = 0
    """Frames that were neither a message nor an ack: presence, receipts, heartbeats."""
    problems: list[str] = field(default_factory=list)

    def complain(self, problem: str) -> None:
        """Keep the first few problems: one is enough to make the result invalid."""
        if len(self.problems) < _PROBLEMS_KEPT:
            self.problems.append(problem)


class Member(Client):
    """A client in the room. `number` identifies it; a sender also carries it in its messages' ids.

    `position` and `deviation` are how far it is in the room's transcript (`transcript.Reading`).
    """

    __slots__ = ("conversation", "deviation", "joined", "position", "request", "sender", "sent")

    def __init__(
        self, number: int, endpoint: Endpoint, place: int, conversation: Conversation, *, sender: bool
    ) -> None:
        super().__init__(number, endpoint, conversation.room.auths[place])
        self.conversation = conversation
        self.sender = sender
        self.sent = 0
        self.joined = False
        self.position = 0
        self.deviation: Deviation | None = None
        message = {"chatId": conversation.room.chat, "content": _CONTENT, "type": "text"}
        body = event("message:send", {**message, "clientMessageId": f"{number}-NUMBER"})
        self.request = b"42/chat,%d" + body.replace(b"%", b"%%").replace(b"NUMBER", b"%d")

    def packet(self, payload: bytes) -> None:
        """Act on anything but a message: Socket.IO's CONNECT and ACK; all else is an aside."""
        if payload.startswith(ACK):
            self._ack(payload)
            return
        self.conversation.asides += 1
        if payload.startswith(CONNECT):
            self.send(
                b"42/chat,%d%b" % (_JOIN_ID, event("join:chat", {"chatId": self.conversation.room.chat}))
            )
        elif not payload.startswith(b"42"):
            raise self.unexpected(payload)

    def say(self) -> None:
        """Send the next message."""
        self.sent += 1
        self.conversation.sent += 1
        self.send(self.request % (self.sent, self.sent))

    def _ack(self, payload: bytes) -> None:
        conversation = self.conversation
        if b'"success":true' not in payload:
            conversation.complain(
                f"member {self.number} was refused: {payload[:300].decode(errors='replace')}"
            )
        if not self.joined:
            self.joined = True
            conversation.joined += 1
            return
        conversation.acknowledged += 1
        if conversation.talking:
            self.say()
