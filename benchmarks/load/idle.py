"""Clients that come in and do nothing: what a connection costs by being there."""

import time
from collections.abc import Callable

from benchmarks.load.arrivals import Arrivals, Newcomer, fall_silent
from benchmarks.load.meter import Meter
from benchmarks.load.plan import IdlePlan, Tally
from benchmarks.load.switchboard import Switchboard
from benchmarks.usage import memory_of_all

_CONNECT_SECONDS = 180.0
_SILENCE_SECONDS = 2.0
_SILENCE_SECONDS_AT_MOST = 60.0


def carry_out(plan: IdlePlan, own: int, tell: Callable[[str], None]) -> Tally:
    """Figures: `clients`, `memory` (bytes more than before they came) once they are quiet, `seconds` idle.

    The effort is that of the idle time.
    """
    switchboard = Switchboard()
    clients: list[Newcomer] = []

    def make(number: int, welcome: Callable[[], None]) -> None:
        client = Newcomer(number, plan.endpoint, plan.auths[number], welcome)
        clients.append(client)
        switchboard.add(client)

    def heard() -> int:
        return sum(client.heard for client in clients)

    arrivals = Arrivals(len(plan.auths), plan.in_flight, make, switchboard)
    try:
        tell("connecting")
        before = memory_of_all(plan.endpoint.processes)
        arrivals.run(_CONNECT_SECONDS)
        quiet = fall_silent(switchboard, heard, _SILENCE_SECONDS, _SILENCE_SECONDS_AT_MOST)
        tell("measuring")
        after, told = memory_of_all(plan.endpoint.processes), heard()
        meter = Meter(plan.endpoint, own)
        until = time.monotonic() + plan.seconds
        switchboard.run(lambda: time.monotonic() >= until, plan.seconds)
        effort = meter.read()
        figures = {"clients": arrivals.welcomed, "memory": after - before, "told": heard() - told}
        return Tally(effort, figures, () if quiet else ("it never became quiet",))
    finally:
        switchboard.close()
