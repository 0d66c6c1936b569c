"""2000 clients come in as fast as the server lets them, 64 at a time."""

from dataclasses import dataclass

from benchmarks.load.plan import ConnectPlan, Tally
from benchmarks.load.spawn import carry_out
from benchmarks.load.verdict import disturbances
from benchmarks.peers.peer import Venue
from benchmarks.scenarios.scenario import (
    BIG_ROOMS_ONLY,
    Bar,
    Conditions,
    Measurement,
    Metric,
    Terms,
    against_python,
    measurement,
)

_CLIENTS = 2000
_IN_FLIGHT = 64
_COST = Metric(
    "cpu_microseconds_per_connect",
    "us/connect",
    ranged=True,
    less=True,
    title="server CPU per connect, microseconds",
)
_METRICS = (
    _COST,
    Metric("connects_per_second", "connects/s", ranged=True, title="connects per second"),
    Metric("server_cpu_share", "CPU", ".0%"),
    Metric("load_cpu_share", "load CPU", ".0%"),
)


@dataclass(frozen=True, slots=True)
class ConnectStorm(Terms):
    """A connect is done when CONNECT is answered, and the upgrade with it where there is one."""

    name: str
    polling: bool
    metrics: tuple[Metric, ...] = _METRICS

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """All connects at a fresh server, until the last of what others are told of them."""
        auths = venue.users(conditions.scaled(_CLIENTS))
        plan = ConnectPlan(venue.endpoint, auths, _IN_FLIGHT, self.polling)
        tally = carry_out(plan, conditions.core, conditions.tell)
        return measurement(lambda: _values(tally), tally.problems, disturbances(tally.effort))


def _values(tally: Tally) -> dict[str, float]:
    figures, effort = tally.figures, tally.effort
    return {
        "cpu_microseconds_per_connect": figures["server_cpu"] / figures["clients"] * 1e6,
        "connects_per_second": figures["clients"] / figures["seconds"],
        "server_cpu_share": effort.server_cpu / effort.seconds,
        "load_cpu_share": effort.own_cpu / effort.seconds,
    }


_BARS = (Bar(_COST.key, "node", 1.0, 0.5), against_python(_COST))
CASES = (
    ConnectStorm("2000 connect by WebSocket", polling=False, bars=_BARS, without=BIG_ROOMS_ONLY),
    ConnectStorm("2000 connect by polling and upgrade", polling=True, bars=_BARS, without=BIG_ROOMS_ONLY),
)
