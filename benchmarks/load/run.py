"""Who carries out which plan."""

from collections.abc import Callable

from benchmarks.load import connects, idle, rooms
from benchmarks.load.plan import ConnectPlan, IdlePlan, Plan, RoomsPlan, Tally


def carry_out(plan: Plan, own: int, tell: Callable[[str], None] = lambda _: None) -> Tally:
    """Do what `plan` says, and tell each phase as it begins. `own` is the process id of the load generator.

    Raises LoadError when clients cannot come in or a connection ends, ProcessLookupError when the server has
    ended.
    """
    match plan:
        case RoomsPlan():
            return rooms.carry_out(plan, own, tell)
        case ConnectPlan():
            return connects.carry_out(plan, own, tell)
        case IdlePlan():
            return idle.carry_out(plan, own, tell)
