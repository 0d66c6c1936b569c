"""Users come and go: all arrive, a fifth drops and returns, nine tenths leave; the last tenth hears it all.

Whom everybody was told of is counted by the user's number. Somebody who was there all the time has to be told
once of each drop and return and of each departure that concern them, and nobody twice.
"""

import re
import time
from collections.abc import Callable, Iterable

from benchmarks.load.arrivals import Arrivals
from benchmarks.load.guest import Guest
from benchmarks.load.meter import Meter
from benchmarks.load.plan import Endpoint, PresencePlan, Room, Tally
from benchmarks.load.switchboard import Switchboard

_TOLD = re.compile(rb'\["user:(on|off)line",\{"userId":"user-(\d+)"')
_LONGEST = 48
_PING = b"\x81\x012"
_OPEN_SECONDS = 180.0
_SILENCE_SECONDS = 2.0
_SILENCE_SECONDS_AT_MOST = 180.0


class User(Guest):
    """Once in, only notes who is said to have come and gone. Its number is that of its user."""

    __slots__ = ("arrived", "carry", "left")

    def __init__(
        self, number: int, endpoint: Endpoint, place: tuple[Room, int], welcome: Callable[[], None]
    ) -> None:
        super().__init__(number, endpoint, *place, welcome)
        self.arrived: list[int] = []
        self.left: list[int] = []
        self.carry = b""

    def receive(self) -> None:
        """Note what is told, and act on the rest as long as it is not in, later on heartbeats only."""
        data = self.read()
        if not self.inside:
            self.process(data)
        elif _PING in self.carry[-2:] + data:
            self.send(b"3")
        told = self.carry + data
        end = max(0, len(told) - _LONGEST)
        for found in _TOLD.finditer(told):
            (self.arrived if found[1] == b"on" else self.left).append(int(found[2]))
            end = max(end, found.end())
        self.carry = told[end:]


class Crowd:
    """Everybody, and where they are."""

    def __init__(self, plan: PresencePlan) -> None:
        self.plan = plan
        self.switchboard = Switchboard()
        self.seats = [(room, place) for room in plan.rooms for place in range(len(room.auths))]
        self.users: dict[int, User] = {}
        self.told = 0

    def enter(self, numbers: list[int]) -> None:
        """These users come."""

        def make(place: int, welcome: Callable[[], None]) -> None:
            number = numbers[place]
            user = User(number, self.plan.endpoint, self.seats[number], welcome)
            self.users[number] = user
            self.switchboard.add(user)

        Arrivals(len(numbers), self.plan.in_flight, make, self.switchboard).run(_OPEN_SECONDS)

    def leave(self, numbers: Iterable[int]) -> None:
        """These users go, without a word."""
        for number in numbers:
            user = self.users.pop(number)
            self.told += len(user.arrived) + len(user.left)
            self.switchboard.hang_up(user)

    def forget(self) -> None:
        """Begin to note anew."""
        for user in self.users.values():
            self.told += len(user.arrived) + len(user.left)
            user.arrived, user.left = [], []

    def quiet(self, at_least: float) -> float:
        """Wait until nothing more is told; how long it took from now to the last that was."""
        began = last = time.monotonic()
        heard = self._heard()
        while (now := time.monotonic()) < began + _SILENCE_SECONDS_AT_MOST:
            self.switchboard.run(lambda: False, 0.05)
            if self._heard() != heard:
                heard, last = self._heard(), time.monotonic()
            elif now - max(last, began + at_least) > _SILENCE_SECONDS:
                break
        return last - began

    def _heard(self) -> int:
        return sum(len(user.arrived) + len(user.left) for user in self.users.values())

    def close(self) -> None:
        """Everybody goes."""
        self.switchboard.close()

    def concerns(self, listener: int, subject: int) -> bool:
        """Whether somebody has to be told of somebody."""
        return not self.plan.to_chats or self.seats[listener][0] is self.seats[subject][0]


def carry_out(plan: PresencePlan, own: int, tell: Callable[[str], None]) -> Tally:
    """Figures: `changes` (arrivals and departures), `told` (events received), `seconds` from the last
    departure to the last that was told of it.
    """
    crowd = Crowd(plan)
    everybody = range(len(crowd.seats))
    droppers = [number for number in everybody if number % 5 == 1]
    leavers = [number for number in everybody if number % 10]
    try:
        tell("arriving")
        meter = Meter(plan.endpoint, own)
        crowd.enter(list(everybody))
        crowd.quiet(0.0)
        crowd.forget()
        tell("dropping and returning")
        crowd.leave(droppers)
        crowd.quiet(plan.grace)
        crowd.enter(droppers)
        crowd.quiet(0.0)
        problems = _wrong(crowd, droppers, set(everybody) - set(droppers), ("arrived", "left"))
        crowd.forget()
        tell("leaving")
        crowd.leave(leavers)
        seconds = crowd.quiet(plan.grace)
        effort = meter.read()
        problems += _wrong(crowd, leavers, set(crowd.users), ("left",))
        crowd.forget()
        changes = len(everybody) + 2 * len(droppers) + len(leavers)
        return Tally(
            effort, {"changes": changes, "told": crowd.told, "seconds": seconds}, tuple(problems[:5])
        )
    finally:
        crowd.close()


def _wrong(crowd: Crowd, subjects: list[int], listeners: set[int], kinds: tuple[str, ...]) -> list[str]:
    """Who was not told, or told twice."""
    problems = []
    for listener in sorted(listeners):
        wanted = {subject for subject in subjects if crowd.concerns(listener, subject)}
        for kind in kinds:
            told: list[int] = getattr(crowd.users[listener], kind)
            if lost := len(wanted - set(told)):
                problems.append(f"user {listener} was not told of {lost} who {kind}")
            if extra := len(told) - len(set(told)):
                problems.append(f"user {listener} was told twice of {extra} who {kind}")
    return problems
