"""One worker and two on one machine, with PostgreSQL, Valkey and the load generator: what a second one gains.

They may use all cores, so on a machine with two this shows less than a second core could give.
"""

from dataclasses import dataclass, replace

from benchmarks.peers.peer import Venue
from benchmarks.scenarios.rooms import Rooms, small_rooms
from benchmarks.scenarios.scenario import Conditions, Measurement, Metric

_OURS_ONLY = tuple((name, "workers are hubbub's") for name in ("node", "python-socketio", "floor"))
_GAIN = Metric("times_one_worker", "x one worker", ".2f", title="messages per second, in those of one worker")
_ROOMS = small_rooms(400)

ONE = replace(
    _ROOMS,
    name="400 rooms of 5 on PostgreSQL, 1 worker",
    bars=(),
    without=_OURS_ONLY,
    extras=frozenset({"worker"}),
)


@dataclass(frozen=True, slots=True)
class TwoWorkers(Rooms):
    """The same rooms with a second worker."""

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """As with one, and what that is beside it."""
        measured = Rooms.measure(self, venue, conditions)
        alone = conditions.found(ONE, "messages_per_second").get("hubbub")
        if measured.problems:
            return measured
        if not alone:
            return Measurement({}, disturbances=("there is no figure of one worker to compare with",))
        gain = measured.values["messages_per_second"] / alone
        return replace(measured, values={**measured.values, _GAIN.key: gain})


TWO = TwoWorkers(
    name="400 rooms of 5 on PostgreSQL, 2 workers",
    metrics=(*_ROOMS.metrics, _GAIN),
    count=_ROOMS.count,
    members=_ROOMS.members,
    senders=_ROOMS.senders,
    without=_OURS_ONLY,
    extras=frozenset({"workers"}),
    needs=(ONE,),
)
CASES = (ONE, TWO)
