"""One client: its handshake, heartbeats and acks, and the sending of the next message when an ack came."""

import json
import socket
from dataclasses import dataclass, field

from benchmarks.load.plan import Plan
from benchmarks.load.transcript import Reading
from benchmarks.load.wire import ACK, masked, upgrade_request

_CONTENT = "The quick brown fox jumps over the lazy dog"
_PROBLEMS_KEPT = 5
_JOIN_ID = 0


class LoadError(Exception):
    """The clients could not do what the plan says; the text says which and why."""


@dataclass(slots=True)
class Conversation:
    """What the members of one room share."""

    plan: Plan
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


class Member(Reading):
    """A client in the room. `number` identifies it; a sender also carries it in its messages' ids."""

    __slots__ = ("conversation", "joined", "number", "sender", "sent", "sock", "upgraded")

    def __init__(self, number: int, conversation: Conversation, *, sender: bool) -> None:
        super().__init__()
        self.number = number
        self.conversation = conversation
        self.sender = sender
        self.sent = 0
        self.upgraded = False
        self.joined = False
        plan = conversation.plan
        self.sock = socket.create_connection((plan.host, plan.port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(upgrade_request(plan.host, plan.port))
        self.sock.setblocking(False)

    def upgrade(self, data: bytes) -> bytes:
        """Take the HTTP answer off the front of `data`; what is not whole yet stays in `tail`."""
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self.tail = data
            return b""
        if not head.startswith(b"HTTP/1.1 101 "):
            raise LoadError(f"member {self.number}: the server refused the WebSocket: {data[:300]!r}")
        self.upgraded = True
        return rest

    def control(self, payload: bytes) -> None:
        """Act on anything but a message: Engine.IO OPEN and PING, Socket.IO CONNECT and ACK."""
        if payload.startswith(ACK):
            self._ack(payload)
            return
        self.conversation.asides += 1
        if payload.startswith(b"42"):
            return
        if payload == b"2":
            self._send(b"3")
        elif payload.startswith(b"0{"):
            auth = self.conversation.plan.auths[self.number]
            self._send(b"40/chat," + json.dumps(auth, separators=(",", ":")).encode())
        elif payload.startswith(b"40/chat,"):
            request = json.dumps(
                ["join:chat", {"chatId": self.conversation.plan.chat}], separators=(",", ":")
            )
            self._send(b"42/chat,%d%b" % (_JOIN_ID, request.encode()))
        else:
            raise LoadError(f"member {self.number}: unexpected packet {payload[:300]!r}")

    def say(self) -> None:
        """Send the next message."""
        self.sent += 1
        self.conversation.sent += 1
        message = {
            "chatId": self.conversation.plan.chat,
            "content": _CONTENT,
            "type": "text",
            "clientMessageId": f"{self.number}-{self.sent}",
        }
        request = json.dumps(["message:send", message], separators=(",", ":"))
        self._send(b"42/chat,%d%b" % (self.sent, request.encode()))

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

    def _send(self, payload: bytes) -> None:
        data = masked(payload)
        try:
            done = self.sock.send(data)
        except BlockingIOError:
            done = 0
        if done != len(data):
            raise LoadError(f"member {self.number}: the server does not read what it is sent")
