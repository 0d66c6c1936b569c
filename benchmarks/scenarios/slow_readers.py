"""A big room in which a few read nearly nothing: what the others, and the server's memory, have of it."""

from dataclasses import dataclass

from benchmarks.load.plan import RoomsPlan, Tally
from benchmarks.load.spawn import carry_out
from benchmarks.load.verdict import disturbances
from benchmarks.peers.peer import Venue
from benchmarks.scenarios.scenario import (
    Conditions,
    Measurement,
    Metric,
    Terms,
    against_python,
    measurement,
)

_MEMBERS, _SLOW, _IN_FLIGHT = 500, 25, 4
_LETTERS = 4000
_LONGER = 2.5
"""Times the usual measuring: buffers have to fill."""
_DELIVERIES = Metric("deliveries_per_second", "deliveries/s", ranged=True, title="deliveries per second")


@dataclass(frozen=True, slots=True)
class SlowReaders(Terms):
    """Messages are as long as may be. Whoever was not cut off has to get everything in the end."""

    name: str
    metrics: tuple[Metric, ...] = (
        _DELIVERIES,
        Metric("megabytes_grown", "MB grown", ".0f", less=True, title="growth of the server's memory, MB"),
        Metric("cut_off", f"cut off of {_SLOW}"),
        Metric("server_cpu_share", "CPU", ".0%"),
        Metric("load_cpu_share", "load CPU", ".0%"),
    )

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """One room of a fresh server."""
        plan = RoomsPlan(
            endpoint=venue.endpoint,
            rooms=venue.open_rooms((_MEMBERS,)),
            senders=_IN_FLIGHT,
            warm=conditions.warm,
            measure=conditions.measure * _LONGER,
            slow=_SLOW,
            content=_LETTERS,
        )
        tally = carry_out(plan, conditions.core, conditions.tell)
        return measurement(lambda: _values(tally), tally.problems, disturbances(tally.effort))


def _values(tally: Tally) -> dict[str, float]:
    effort, figures = tally.effort, tally.figures
    return {
        "deliveries_per_second": figures["deliveries"] / effort.seconds,
        "megabytes_grown": figures["grown"] / 1e6,
        "cut_off": figures["cut"],
        "server_cpu_share": effort.server_cpu / effort.seconds,
        "load_cpu_share": effort.own_cpu / effort.seconds,
    }


CASES = (
    SlowReaders(
        "500 in one room, 25 of them read nothing",
        bars=(against_python(_DELIVERIES),),
        without=(("floor", "a bare send(2) would wait for the slow ones"),),
    ),
)
