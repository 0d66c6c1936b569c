"""One client in a room: its acks, and the sending of the next message when one came."""

from dataclasses import dataclass, field

from benchmarks.load.client import CONNECT, Client, event
from benchmarks.load.plan import Endpoint, Room
from benchmarks.load.transcript import Deviation, Transcript

_CONTENT = "The quick brown fox jumps over the lazy dog "
_PROBLEMS_KEPT = 5
_JOIN_ID = 0


@dataclass(slots=True)
class Conversation:
    """What the members of one room share."""

    room: Room
    content: int
    transcripts: list[Transcript] = field(default_factory=lambda: [Transcript()])
    """One for each way in which nodes word the same messages: members of one node get the same bytes."""
    talking: bool = False
    joined: int = 0
    sent: int = 0
    acknowledged: int = 0
    asides: int = 0
    """Frames that were neither a message nor an ack: presence, receipts, heartbeats."""
    problems: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Messages known so far."""
        return max(transcript.count for transcript in self.transcripts)

    def transcript_of(self, first: bytes) -> Transcript:
        """The transcript of a member whose first message is in this frame."""
        for transcript in self.transcripts:
            if not transcript.is_worded_otherwise(first):
                return transcript
        self.transcripts.append(Transcript())
        return self.transcripts[-1]

    def complain(self, problem: str) -> None:
        """Keep the first few problems: one is enough to make the result invalid."""
        if len(self.problems) < _PROBLEMS_KEPT:
            self.problems.append(problem)


def message_template(chat: str, sender: int, size: int = 43) -> bytes:
    """A `message:send` with `size` letters; `%` puts in the ack id and the sender's own number."""
    content = (_CONTENT * (size // len(_CONTENT) + 1))[: size - 1] + "."
    message = {"chatId": chat, "content": content, "type": "text", "clientMessageId": f"{sender}-NUMBER"}
    body = event("message:send", message)
    return b"42/chat,%d" + body.replace(b"%", b"%%").replace(b"NUMBER", b"%d")


class Member(Client):
    """A client in the room. `number` identifies it; a sender also carries it in its messages' ids.

    `position` and `deviation` are how far it is in the room's transcript (`transcript.Reading`).
    """

    __slots__ = ("conversation", "deviation", "joined", "position", "request", "sender", "sent", "transcript")

    def __init__(
        self, number: int, endpoint: Endpoint, place: int, conversation: Conversation, *, sender: bool
    ) -> None:
        super().__init__(number, endpoint, conversation.room.auths[place])
        self.conversation = conversation
        self.transcript = conversation.transcripts[0]
        self.sender = sender
        self.sent = 0
        self.joined = False
        self.position = 0
        self.deviation: Deviation | None = None
        self.request = message_template(conversation.room.chat, number, conversation.content)

    def packet(self, payload: bytes) -> None:
        """Act on Socket.IO's CONNECT; all other events but messages are an aside."""
        self.conversation.asides += 1
        if payload.startswith(CONNECT):
            self.send(
                b"42/chat,%d%b" % (_JOIN_ID, event("join:chat", {"chatId": self.conversation.room.chat}))
            )
        elif not payload.startswith(b"42"):
            raise self.unexpected(payload)

    def hear(self, frame: bytes) -> Transcript:
        """Take a message; the transcript that it, and what follows, belongs to."""
        if not self.position:
            self.transcript = self.conversation.transcript_of(frame)
        self.transcript.accept(self, frame)
        return self.transcript

    def say(self) -> None:
        """Send the next message."""
        self.sent += 1
        self.conversation.sent += 1
        self.send(self.request % (self.sent, self.sent))

    def acknowledge(self, payload: bytes) -> None:
        """Act on an ack: send the next message."""
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


class SlowMember(Member):
    """A member that does not read for a while; the server may have cut it off then."""

    __slots__ = ("cut",)
    narrow = True
    cut: bool
