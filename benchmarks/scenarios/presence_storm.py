"""Users come, a fifth drops and returns, and nearly all leave: what it costs to tell the others."""

from dataclasses import dataclass

from benchmarks.load.plan import PresencePlan, Tally
from benchmarks.load.spawn import carry_out
from benchmarks.load.verdict import disturbances
from benchmarks.peers.peer import Venue
from benchmarks.scenarios.scenario import (
    BIG_ROOMS_ONLY,
    Conditions,
    Measurement,
    Metric,
    Terms,
    against_python,
    measurement,
)

_ROOM = 20
_IN_FLIGHT = 64
_COST = Metric(
    "cpu_microseconds_per_change",
    "us/change",
    ranged=True,
    less=True,
    title="server CPU per arrival or departure, microseconds",
)


@dataclass(frozen=True, slots=True)
class PresenceStorm(Terms):
    """All users are in rooms of 20. A change is an arrival or a departure."""

    name: str
    users: int
    metrics: tuple[Metric, ...] = (
        _COST,
        Metric("told", "events told", title="events told"),
        Metric("seconds_until_quiet", "quiet after s", ".2f", less=True),
        Metric("server_cpu_share", "CPU", ".0%"),
        Metric("load_cpu_share", "load CPU", ".0%"),
    )

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """All the coming and going at a fresh server."""
        count = max(2, conditions.scaled(self.users) // _ROOM)
        to_chats = venue.presence_to_chats_above is not None and count * _ROOM > venue.presence_to_chats_above
        plan = PresencePlan(
            endpoint=venue.endpoint,
            rooms=venue.open_rooms((_ROOM,) * count),
            in_flight=_IN_FLIGHT,
            to_chats=to_chats,
            grace=venue.offline_grace,
        )
        tally = carry_out(plan, conditions.core, conditions.tell)
        return measurement(lambda: _values(tally), tally.problems, disturbances(tally.effort))


def _values(tally: Tally) -> dict[str, float]:
    figures, effort = tally.figures, tally.effort
    return {
        "cpu_microseconds_per_change": effort.server_cpu / figures["changes"] * 1e6,
        "told": figures["told"],
        "seconds_until_quiet": figures["seconds"],
        "server_cpu_share": effort.server_cpu / effort.seconds,
        "load_cpu_share": effort.own_cpu / effort.seconds,
    }


_EXTRAS = frozenset(("presence",))
CASES = (
    PresenceStorm(
        "500 users come and go",
        500,
        bars=(against_python(_COST),),
        without=BIG_ROOMS_ONLY,
        extras=_EXTRAS,
    ),
    PresenceStorm(
        "2000 users come and go",
        2000,
        without=(*BIG_ROOMS_ONLY, ("python-socketio", "minutes for millions of events; see 500 users")),
        extras=_EXTRAS,
        rounds=1,
    ),
)
