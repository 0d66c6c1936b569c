"""Who carries out which plan."""

from collections.abc import Callable
from typing import assert_never

from benchmarks.load import connects, idle, latency, presence, recovery, rooms, signals
from benchmarks.load.plan import (
    ConnectPlan,
    IdlePlan,
    LatencyPlan,
    Plan,
    PresencePlan,
    RecoveryPlan,
    RoomsPlan,
    SignalsPlan,
    Tally,
)


def carry_out(plan: Plan, own: int, tell: Callable[[str], None] = lambda _: None) -> Tally:
    """Do what `plan` says, and tell each phase as it begins. `own` is the process id of the load generator.

    Raises LoadError when clients cannot come in or a connection ends, ProcessLookupError when the server has
    ended.
    """
    match plan:
        case RoomsPlan():
            tally = rooms.carry_out(plan, own, tell)
        case ConnectPlan():
            tally = connects.carry_out(plan, own, tell)
        case IdlePlan():
            tally = idle.carry_out(plan, own, tell)
        case SignalsPlan():
            tally = signals.carry_out(plan, own, tell)
        case LatencyPlan():
            tally = latency.carry_out(plan, own, tell)
        case RecoveryPlan():
            tally = recovery.carry_out(plan, own, tell)
        case PresencePlan():
            tally = presence.carry_out(plan, own, tell)
        case _:
            assert_never(plan)
    return tally
