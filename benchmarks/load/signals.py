"""Typing and receipts: everybody types, reads a message and types no more, as fast as the answers come.

First the messages are sent that will be read. What is told of the signals is counted by its kind: each typing
by the others in the room, each receipt by the whole room, the reader included.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.load.arrivals import Arrivals
from benchmarks.load.client import LoadError, event
from benchmarks.load.guest import Guest
from benchmarks.load.member import message_template
from benchmarks.load.meter import Meter
from benchmarks.load.plan import Endpoint, Room, SignalsPlan, Tally
from benchmarks.load.switchboard import Switchboard

_ID = re.compile(rb'"id":"([^"]+)"')
_ACK, _SUCCESS, _PING = b"43/chat,", b'"success":true', b"\x81\x012"
_TYPING, _READ = b'["user:typing"', b'["message:read"'
_NEEDLES = (_ACK, _SUCCESS, _PING, _TYPING, _READ)
_CARRY = max(map(len, _NEEDLES)) - 1
_OPEN_SECONDS = 60.0
_PREPARE_SECONDS = 120.0
_SETTLE_SECONDS = 10.0
_PAUSE_SECONDS = 0.001


@dataclass(slots=True)
class Signals:
    """What the members of one room have sent, and the messages that they can read."""

    typings: int = 0
    reads: int = 0
    ids: dict[bytes, int] = field(default_factory=dict)
    """The messages by their ids, each with its author's number."""


class Signaller(Guest):
    """Prepares by sending messages, then signals. Counts what it is told without taking it apart."""

    __slots__ = ("carry", "counts", "go_on", "request", "sent", "signals", "storming", "typings", "unread")

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        place: tuple[Room, int],
        signals: Signals,
        welcome: Callable[[], None],
    ) -> None:
        super().__init__(number, endpoint, *place, welcome)
        self.signals = signals
        self.storming = self.go_on = False
        self.carry = b""
        self.counts = dict.fromkeys(_NEEDLES, 0)
        self.unread: list[bytes] = []
        self.sent = 0
        self.typings = 0
        self.request = message_template(self.room.chat, number)

    def speak(self) -> None:
        """Send a message."""
        self.sent += 1
        self.send(self.request % (self.sent, self.sent))

    def acknowledged(self, payload: bytes) -> None:
        """The message was sent: it can be read by the others."""
        found = _ID.search(payload)
        if found is None:
            raise LoadError(f"the answer to a message has no id: {payload[:300]!r}")
        self.signals.ids[found[1]] = self.number

    def storm(self) -> None:
        """Begin to signal."""
        self.unread = [name for name, author in reversed(self.signals.ids.items()) if author != self.number]
        self.storming = self.go_on = True
        self.sent = 0
        self._signal()

    def receive(self) -> None:
        """Count what came; signal again when an answer was in it."""
        if not self.storming:
            super().receive()
            return
        data = self.carry + self.read()
        counts, answered = self.counts, self.counts[_ACK]
        for needle in _NEEDLES:
            # What was in the carried bytes as a whole has been counted.
            counts[needle] += data.count(needle, max(0, len(self.carry) - len(needle) + 1))
        self.carry = data[-_CARRY:]
        if counts[_PING]:
            counts[_PING] = 0
            self.send(b"3")
        if counts[_ACK] > answered and self.go_on:
            self._signal()

    def _signal(self) -> None:
        """One of three in turn: typing, a receipt, no more typing."""
        step, chat = self.sent % 3, self.room.chat
        self.sent += 1
        if step == 1:
            if not self.unread:
                raise LoadError("all messages are read: there have to be more of them")
            self.signals.reads += 1
            body = event("message:read", {"messageId": self.unread.pop().decode(), "chatId": chat})
        else:
            self.signals.typings += 1
            self.typings += 1
            body = event("message:typing", {"chatId": chat, "isTyping": not step})
        self.send(b"42/chat,%d%b" % (self.sent, body))

    def wrong(self) -> str | None:
        """What does not add up at the end."""
        typings = self.signals.typings - self.typings
        wanted = {_ACK: self.sent, _SUCCESS: self.sent, _TYPING: typings, _READ: self.signals.reads}
        for needle, count in wanted.items():
            if self.counts[needle] != count:
                what = needle.decode().strip('["')
                return f"client {self.number}: {self.counts[needle]} of {what} where there should be {count}"
        return None


def carry_out(plan: SignalsPlan, own: int, tell: Callable[[str], None]) -> Tally:
    """Figures: `requests` that were answered."""
    switchboard = Switchboard()
    clients: list[Signaller] = []
    told = [(room, Signals()) for room in plan.rooms]
    seats = [(room, place, signals) for room, signals in told for place in range(len(room.auths))]

    def make(number: int, welcome: Callable[[], None]) -> None:
        room, place, signals = seats[number]
        client = Signaller(number, plan.endpoint, (room, place), signals, welcome)
        clients.append(client)
        switchboard.add(client)

    try:
        tell("connecting")
        Arrivals(len(seats), 32, make, switchboard).run(_OPEN_SECONDS)
        tell("sending messages to read")
        _prepare(plan, clients, [signals for _, signals in told], switchboard)
        tell("warming up")
        for client in clients:
            client.storm()
        _run(switchboard, plan.warm)
        tell("measuring")
        before, meter = _answered(clients), Meter(plan.endpoint, own)
        _run(switchboard, plan.measure)
        requests, effort = _answered(clients) - before, meter.read()
        tell("settling")
        return Tally(effort, {"requests": requests}, _settle(clients, switchboard))
    finally:
        switchboard.close()


def _prepare(
    plan: SignalsPlan, clients: list[Signaller], told: list[Signals], switchboard: Switchboard
) -> None:
    """Everybody sends a message at a time, until each room has its messages."""
    deadline = time.monotonic() + _PREPARE_SECONDS
    each = plan.messages // len(plan.rooms[0].auths)
    for number in range(1, each + 1):
        for client in clients:
            client.speak()

        def all_sent(wanted: int = number * len(clients)) -> bool:
            return sum(len(signals.ids) for signals in told) == wanted

        if not switchboard.run(all_sent, deadline - time.monotonic()):
            raise LoadError("the messages to read could not be sent in time")
    switchboard.run(lambda: False, 0.5)


def _run(switchboard: Switchboard, seconds: float) -> None:
    """Turn for so long, with pauses: a read for each single broadcast would be too many."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        switchboard.turn(0.01)
        time.sleep(_PAUSE_SECONDS)


def _answered(clients: list[Signaller]) -> int:
    return sum(client.counts[_ACK] for client in clients)


def _settle(clients: list[Signaller], switchboard: Switchboard) -> tuple[str, ...]:
    """Stop, and wait for what is under way; what does not add up then."""
    for client in clients:
        client.go_on = False
    switchboard.run(lambda: not any(client.wrong() for client in clients), _SETTLE_SECONDS)
    switchboard.run(lambda: False, 0.05)  # one too many would come now
    return tuple(problem for client in clients if (problem := client.wrong()))[:5]
