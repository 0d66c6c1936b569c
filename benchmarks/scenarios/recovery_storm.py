"""2000 clients are cut off, miss 50 messages each, and return at once."""

from dataclasses import dataclass

from benchmarks.load.plan import RecoveryPlan, Tally
from benchmarks.load.spawn import carry_out
from benchmarks.load.verdict import taken, too_slow
from benchmarks.peers.peer import Venue
from benchmarks.scenarios.scenario import BIG_ROOMS_ONLY, Conditions, Measurement, Metric, Terms, measurement

_ROOMS, _CLIENTS = 40, 50
_MESSAGES = 50
_IN_FLIGHT = 256
_ALL = Metric(
    "seconds_until_all", "100 % s", ".2f", ranged=True, less=True, title="seconds until all had everything"
)


@dataclass(frozen=True, slots=True)
class RecoveryStorm(Terms):
    """By Socket.IO's own state recovery, as the JavaScript client asks for it."""

    name: str
    metrics: tuple[Metric, ...] = (
        _ALL,
        Metric("seconds_until_half", "50 % s", ".2f", less=True),
        Metric("seconds_until_most", "99 % s", ".2f", less=True),
        Metric(
            "cpu_microseconds_per_client",
            "us/client",
            ranged=True,
            less=True,
            title="server CPU per client, microseconds",
        ),
        Metric("load_cpu_share", "load CPU", ".0%"),
    )

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """40 rooms of 50, and in each one more who stays and sends."""
        sizes = (1 + _CLIENTS,) * conditions.scaled(_ROOMS)
        plan = RecoveryPlan(venue.endpoint, venue.open_rooms(sizes), _MESSAGES, _IN_FLIGHT)
        tally = carry_out(plan, conditions.core, conditions.tell)
        disturbed = (*too_slow(tally.effort), *taken(tally.effort))
        return measurement(lambda: _values(tally), tally.problems, disturbed)


def _values(tally: Tally) -> dict[str, float]:
    figures, effort = tally.figures, tally.effort
    return {
        "seconds_until_all": figures["all"],
        "seconds_until_half": figures["half"],
        "seconds_until_most": figures["most"],
        "cpu_microseconds_per_client": effort.server_cpu / figures["clients"] * 1e6,
        "load_cpu_share": effort.own_cpu / effort.seconds,
    }


CASES = (
    RecoveryStorm(
        "2000 return at once, 50 missed messages each",
        without=(*BIG_ROOMS_ONLY, ("python-socketio", "it has no state recovery: what was missed is lost")),
        extras=frozenset(("recovery",)),
    ),
)
