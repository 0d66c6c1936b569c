"""Messages sent on a schedule, whatever comes back, and how long after their time they arrive.

The latency of a delivery counts from the moment the message should have been sent: if the load generator or
the server holds up the sending, that is waiting too. Everything is read the moment that it comes.
"""

import random
import re
import time
from array import array
from collections.abc import Callable

from benchmarks.load.arrivals import Arrivals, fall_silent
from benchmarks.load.client import LoadError
from benchmarks.load.guest import Guest
from benchmarks.load.member import message_template
from benchmarks.load.meter import Meter
from benchmarks.load.plan import Counts, Endpoint, LatencyPlan, Room, Tally
from benchmarks.load.switchboard import Switchboard
from benchmarks.load.transcript import Deviation
from benchmarks.load.verdict import wrong_counts

_MESSAGE = re.compile(rb'"seq":(\d+).*?"clientMessageId":"\d+-(\d+)"')
_OPEN_SECONDS = 90.0
_SETTLE_SECONDS = 10.0
_SEED = 1
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class Schedule:
    """When which message should be sent (monotonic), and how late each delivery was, in seconds."""

    def __init__(self, plan: LatencyPlan) -> None:
        self.plan = plan
        self.due = array("d")
        self.late = array("d")
        self.measuring = (0.0, 0.0)
        self.acknowledged = 0
        self._random = random.Random(_SEED)

    def begin(self, now: float) -> None:
        """Set all times: gaps as of many people who know nothing of each other."""
        self.measuring = (now + self.plan.warm, now + self.plan.warm + self.plan.measure)
        at = now
        while (at := at + self._random.expovariate(self.plan.rate)) < self.measuring[1]:
            self.due.append(at)

    def delivered(self, number: int, now: float) -> None:
        """Note how late a message came, if it was due in the measured time."""
        due = self.due[number]
        if due >= self.measuring[0]:
            self.late.append(now - due)


class Listener(Guest):
    """Sends when it is told to, and follows what comes by its numbers."""

    __slots__ = ("deviation", "got", "request", "schedule", "sent")

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        place: tuple[Room, int],
        schedule: Schedule,
        welcome: Callable[[], None],
    ) -> None:
        super().__init__(number, endpoint, *place, welcome)
        self.schedule = schedule
        self.deviation = Deviation(1)
        self.got = 0
        self.sent = 0
        self.request = message_template(self.room.chat, number)

    def say(self, number: int) -> None:
        """Send the schedule's message `number`."""
        self.sent += 1
        self.send(self.request % (self.sent, number))

    def message(self, payload: bytes) -> None:
        """Note its number and how late it is."""
        found = _MESSAGE.search(payload)
        if found is None:
            raise LoadError(f"a message without seq or clientMessageId: {payload[:300]!r}")
        self.got += 1
        self.deviation.take(int(found[1]))
        self.schedule.delivered(int(found[2]), time.monotonic())

    def acknowledged(self, payload: bytes) -> None:
        """Count it."""
        self.schedule.acknowledged += 1


def carry_out(plan: LatencyPlan, own: int, tell: Callable[[str], None]) -> Tally:
    """Figures: `messages` sent in the measured time, and percentiles of the latency in seconds."""
    switchboard, schedule = Switchboard(), Schedule(plan)
    clients: list[Listener] = []
    seats = [(room, place) for room in plan.rooms for place in range(len(room.auths))]

    def make(number: int, welcome: Callable[[], None]) -> None:
        client = Listener(number, plan.endpoint, seats[number], schedule, welcome)
        clients.append(client)
        switchboard.add(client)

    try:
        tell("connecting")
        Arrivals(len(seats), 32, make, switchboard).run(_OPEN_SECONDS)
        fall_silent(switchboard, lambda: sum(client.heard for client in clients), 0.4, 10.0)
        tell("warming up")
        schedule.begin(time.monotonic())
        first = _send(schedule, clients, switchboard, 0, schedule.measuring[0])
        tell("measuring")
        meter = Meter(plan.endpoint, own)
        last = _send(schedule, clients, switchboard, first, schedule.measuring[1])
        effort = meter.read()
        tell("settling")
        counts = _settle(schedule, clients, switchboard)
        return Tally(effort, _figures(schedule, last - first), wrong_counts(counts), counts)
    finally:
        switchboard.close()


def _send(
    schedule: Schedule, clients: list[Listener], switchboard: Switchboard, number: int, until: float
) -> int:
    """Send what is due before `until`, from message `number` on; the number of the first that is not."""
    while (now := time.monotonic()) < until:
        while number < len(schedule.due) and schedule.due[number] <= now:
            clients[number * 7 % len(clients)].say(number)
            number += 1
        due = schedule.due[number] if number < len(schedule.due) else until
        switchboard.turn(max(0.0, min(due, until) - time.monotonic()))
    return number


def _settle(schedule: Schedule, clients: list[Listener], switchboard: Switchboard) -> Counts:
    """Wait for everything that was sent."""
    sent: dict[str, int] = {}
    for client in clients:
        sent[client.room.chat] = sent.get(client.room.chat, 0) + client.sent

    def settled() -> bool:
        return schedule.acknowledged == total and all(
            client.got >= sent[client.room.chat] for client in clients
        )

    total = sum(sent.values())
    switchboard.run(settled, _SETTLE_SECONDS)
    switchboard.run(lambda: False, 0.05)  # a delivery too many would come now
    most: dict[str, int] = {}
    lost = 0
    for client in clients:
        chat, deviation = client.room.chat, client.deviation
        received = deviation.expected - 1 - len(deviation.missing)
        most[chat] = max(most.get(chat, 0), received)
        lost += max(sent[chat] - received, len(deviation.missing))
    return Counts(
        sent=total,
        acknowledged=schedule.acknowledged,
        broadcast=sum(most.values()),
        lost=lost,
        repeated=sum(client.deviation.repeated for client in clients),
        swapped=sum(client.deviation.swapped for client in clients),
    )


def _figures(schedule: Schedule, messages: int) -> dict[str, float]:
    late = sorted(schedule.late)
    if not late:
        return {"messages": messages}
    places = {name: min(len(late) - 1, int(share * len(late))) for name, share in PERCENTILES.items()}
    return {"messages": messages, **{name: late[place] for name, place in places.items()}}
