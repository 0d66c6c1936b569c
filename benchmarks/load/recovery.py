"""All are cut off at once, miss messages, return at once, and get them by Socket.IO's state recovery.

A client keeps what the JavaScript client keeps: the private id from its welcome and the offset of the last
event. The first member of each room stays; it sends the messages that the others miss.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.load.arrivals import Arrivals, fall_silent
from benchmarks.load.client import CONNECT, LoadError
from benchmarks.load.guest import Guest
from benchmarks.load.member import message_template
from benchmarks.load.meter import Meter
from benchmarks.load.plan import Endpoint, RecoveryPlan, Room, Tally
from benchmarks.load.switchboard import Switchboard
from benchmarks.load.transcript import Deviation

_SEQ = re.compile(rb'"seq":(\d+)')
_OFFSET = re.compile(rb',"([^"]*)"\]$')
_OPEN_SECONDS = 90.0
_SEND_SECONDS = 60.0
_RETURN_SECONDS = 60.0
_WINDOW = 4


class Speaker(Guest):
    """Stays, and sends what the others miss."""

    __slots__ = ("acks", "request", "sent")

    def prepare(self) -> None:
        """Be able to send."""
        self.sent = self.acks = 0
        self.request = message_template(self.room.chat, self.number)

    def say(self) -> None:
        """Send a message."""
        self.sent += 1
        self.send(self.request % (self.sent, self.sent))

    def acknowledged(self, payload: bytes) -> None:
        """Count it."""
        self.acks += 1


class Returner(Guest):
    """Is cut off and comes back; `done` is when it had all that it missed."""

    __slots__ = ("deviation", "done", "got", "offset", "pid", "returned", "wanted")

    def prepare(self, wanted: int) -> None:
        """Expect `wanted` messages after its return, of which the first has `seq` 2."""
        self.pid = self.offset = ""
        self.done = 0.0
        self.got = 0
        self.wanted = wanted
        self.deviation = Deviation(2)
        self.returned = False

    def connected(self, payload: bytes) -> None:
        """Keep the private id; a client that returns is in its room already."""
        welcome = json.loads(payload[len(CONNECT) :])
        if not self.returned:
            self.pid = welcome.get("pid", "")
            super().connected(payload)
        elif welcome.get("pid") == self.pid:
            self.once()
        else:
            raise LoadError(f"client {self.number} was not recovered: {payload[:300]!r}")

    def message(self, payload: bytes) -> None:
        """Keep its offset; after the return, see whether it is the next one."""
        offset, seq = _OFFSET.search(payload), _SEQ.search(payload)
        if offset is None or seq is None:
            raise LoadError(f"a message without offset or seq: {payload[-300:]!r}")
        self.offset = offset[1].decode()
        if not self.returned:
            return
        self.got += 1
        self.deviation.take(int(seq[1]))
        if self.deviation.expected == self.wanted + 2 and not self.deviation.missing and not self.done:
            self.done = time.monotonic()

    def come_back(self, endpoint: Endpoint) -> None:
        """Connect anew, and say who it was."""
        self.returned = True
        self.auth = {**self.auth, "pid": self.pid, "offset": self.offset}
        self.welcomed = 0
        self.connect(endpoint)


@dataclass(slots=True)
class Scene:
    """Everybody."""

    plan: RecoveryPlan
    switchboard: Switchboard = field(default_factory=Switchboard)
    speakers: list[Speaker] = field(default_factory=list)
    returners: list[Returner] = field(default_factory=list)

    def gather(self) -> None:
        """Everybody joins, and hears one message: without an offset there is nothing to recover from."""
        seats = [(room, place) for room in self.plan.rooms for place in range(len(room.auths))]

        def make(number: int, welcome: Callable[[], None]) -> None:
            self._seat(number, *seats[number], welcome)

        Arrivals(len(seats), 32, make, self.switchboard).run(_OPEN_SECONDS)
        fall_silent(self.switchboard, self.heard, 0.4, 10.0)
        self.send(1)
        if not self.switchboard.run(lambda: all(client.offset for client in self.returners), 10.0):
            raise LoadError("not everybody heard the first message")
        if not all(client.pid for client in self.returners):
            raise LoadError("the server offers no state recovery")

    def _seat(self, number: int, room: Room, place: int, welcome: Callable[[], None]) -> None:
        endpoint = self.plan.endpoint
        if place == 0:
            speaker = Speaker(number, endpoint, room, place, welcome)
            speaker.prepare()
            self.speakers.append(speaker)
            self.switchboard.add(speaker)
        else:
            client = Returner(number, endpoint, room, place, welcome)
            client.prepare(self.plan.messages)
            self.returners.append(client)
            self.switchboard.add(client)

    def heard(self) -> int:
        """Events that came to anybody."""
        return sum(client.heard for client in (*self.speakers, *self.returners))

    def send(self, messages: int) -> None:
        """So many into each room, and wait until they are acknowledged."""
        goal = self.speakers[0].sent + messages
        deadline = time.monotonic() + _SEND_SECONDS
        while any(speaker.acks < goal for speaker in self.speakers):
            for speaker in self.speakers:
                while speaker.sent < min(goal, speaker.acks + _WINDOW):
                    speaker.say()
            self.switchboard.turn(0.01)
            if time.monotonic() > deadline:
                raise LoadError("the messages could not be sent in time")

    def cut(self) -> None:
        """End the connections of all but the speakers, without a word."""
        for client in self.returners:
            self.switchboard.hang_up(client)

    def reunite(self) -> float:
        """Everybody comes back, `in_flight` of them on their way at a time; when that began."""
        began, waiting = time.monotonic(), list(reversed(self.returners))
        coming: list[Returner] = []
        while waiting or not all(client.done for client in self.returners):
            coming = [client for client in coming if not client.welcomed]
            while waiting and len(coming) < self.plan.in_flight:
                client = waiting.pop()
                client.come_back(self.plan.endpoint)
                self.switchboard.add(client)
                coming.append(client)
            self.switchboard.turn(0.01)
            if time.monotonic() > began + _RETURN_SECONDS:
                break
        return began

    def close(self) -> None:
        """Leave."""
        self.switchboard.close()


def carry_out(plan: RecoveryPlan, own: int, tell: Callable[[str], None]) -> Tally:
    """Figures: `clients`; `half`, `most` (99 %) and `all`: seconds until so many had everything."""
    scene = Scene(plan)
    try:
        tell("connecting")
        scene.gather()
        tell("missing messages")
        scene.cut()
        scene.send(plan.messages)
        fall_silent(scene.switchboard, scene.heard, 0.4, 10.0)
        tell("measuring")
        meter = Meter(plan.endpoint, own)
        began = scene.reunite()
        fall_silent(scene.switchboard, scene.heard, 0.4, 10.0)
        effort = meter.read()
        problems = tuple(_wrong(scene.returners))
        times = sorted(client.done - began for client in scene.returners)
        figures = {
            "clients": len(times),
            "half": times[len(times) // 2],
            "most": times[int(0.99 * len(times))],
            "all": times[-1],
        }
        return Tally(effort, figures, problems)
    finally:
        scene.close()


def _wrong(returners: list[Returner]) -> list[str]:
    lost = sum(client.wanted + 2 - client.deviation.expected for client in returners)
    lost += sum(len(client.deviation.missing) for client in returners)
    counts = {
        "lost": lost,
        "delivered twice": sum(client.deviation.repeated for client in returners),
        "out of order": sum(client.deviation.swapped for client in returners),
    }
    return [f"{count} missed messages {what}" for what, count in counts.items() if count]
