"""How long a message takes when the server is partly busy: a fixed rate, the same for all servers of a case.

The rates are shares of the most messages a second that the servers managed in 40 rooms of 5 in the same run.
"""

from dataclasses import dataclass

from benchmarks.load.latency import PERCENTILES
from benchmarks.load.plan import LatencyPlan, Tally
from benchmarks.load.spawn import carry_out
from benchmarks.load.verdict import overworked, taken
from benchmarks.peers.peer import Venue
from benchmarks.scenarios.rooms import MESSAGES
from benchmarks.scenarios.scenario import (
    BIG_ROOMS_ONLY,
    Bar,
    Conditions,
    Measurement,
    Metric,
    Terms,
    measurement,
)
from benchmarks.scenarios.small_rooms import FORTY

_ROOMS, _MEMBERS = 40, 5
_OF_SLOWEST = ""
_TITLES = {"p50": "median of the latency, ms"}
_P99 = Metric(
    "p99_milliseconds", "p99 ms", ".2f", ranged=True, less=True, title="99th percentile of the latency, ms"
)


def _metrics() -> tuple[Metric, ...]:
    others = [
        Metric(f"{name}_milliseconds", f"{name} ms", ".2f", less=True, title=_TITLES.get(name, ""))
        for name in PERCENTILES
        if name != "p99"
    ]
    return (
        _P99,
        *others,
        Metric("messages_per_second", "messages/s"),
        Metric("server_cpu_share", "CPU", ".0%"),
        Metric("load_cpu_share", "load CPU", ".0%"),
    )


@dataclass(frozen=True, slots=True)
class Latency(Terms):
    """From the time at which a message should be sent to each of its deliveries.

    `share` is of the maximum of the peer `of`, or of the slowest peer.
    """

    name: str
    share: float
    of: str = _OF_SLOWEST
    metrics: tuple[Metric, ...] = _metrics()

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """40 rooms of 5 at a fresh server."""
        found = conditions.found(FORTY, MESSAGES.key)
        most = found.get(self.of) if self.of else min(found.values(), default=None)
        if most is None:
            return Measurement({}, (f"{self.of or 'no server'} has no figure for: {FORTY.name}",))
        plan = LatencyPlan(
            endpoint=venue.endpoint,
            rooms=venue.open_rooms((_MEMBERS,) * _ROOMS),
            rate=self.share * most,
            warm=conditions.warm,
            measure=conditions.measure,
        )
        tally = carry_out(plan, conditions.core, conditions.tell)
        disturbed = (*overworked(tally.effort), *taken(tally.effort))
        return measurement(lambda: _values(tally), tally.problems, disturbed)


def _values(tally: Tally) -> dict[str, float]:
    effort, figures = tally.effort, tally.figures
    return {
        **{f"{name}_milliseconds": figures[name] * 1000 for name in PERCENTILES},
        "messages_per_second": figures["messages"] / effort.seconds,
        "server_cpu_share": effort.server_cpu / effort.seconds,
        "load_cpu_share": effort.own_cpu / effort.seconds,
    }


def _of_slowest(percent: int) -> Latency:
    name = f"latency at {percent} % of the slowest server's maximum"
    return Latency(name, percent / 100, needs=(FORTY,), without=BIG_ROOMS_ONLY)


CASES = (
    _of_slowest(25),
    _of_slowest(50),
    _of_slowest(80),
    Latency(
        "latency at 50 % of Node's maximum",
        0.5,
        of="node",
        bars=(Bar(_P99.key, "node", 1.0, 0.5),),
        needs=(FORTY,),
        without=BIG_ROOMS_ONLY,
    ),
)
