"""A storm of connects: everybody comes in, as fast as the server lets them, and stays until it is quiet."""

import time
from collections.abc import Callable

from benchmarks.load.arrivals import Arrivals, Newcomer, fall_silent
from benchmarks.load.meter import Meter
from benchmarks.load.plan import ConnectPlan, Tally
from benchmarks.load.polling import PollingClient
from benchmarks.load.switchboard import Switchboard

_CONNECT_SECONDS = 120.0
_SILENCE_SECONDS = 0.5
_SILENCE_SECONDS_AT_MOST = 60.0


def carry_out(plan: ConnectPlan, own: int, tell: Callable[[str], None]) -> Tally:
    """Figures: `clients`, and `seconds` from the first connect to the last client that was let in.

    The effort is that of the whole storm until it is quiet: what others are told of an arrival belongs to it.
    """
    switchboard = Switchboard()
    clients: list[Newcomer | PollingClient] = []

    def make(number: int, welcome: Callable[[], None]) -> None:
        if plan.polling:
            clients.append(PollingClient(number, plan.endpoint, plan.auths[number], switchboard, welcome))
        else:
            client = Newcomer(number, plan.endpoint, plan.auths[number], welcome)
            clients.append(client)
            switchboard.add(client)

    arrivals = Arrivals(len(plan.auths), plan.in_flight, make, switchboard)
    try:
        tell("measuring")
        began, meter = time.monotonic(), Meter(plan.endpoint, own)
        arrivals.run(_CONNECT_SECONDS)
        storm = meter.read()
        quiet = fall_silent(
            switchboard,
            lambda: sum(client.heard for client in _sockets(clients)),
            _SILENCE_SECONDS,
            _SILENCE_SECONDS_AT_MOST,
        )
        effort = meter.read()
        figures = {
            "clients": arrivals.welcomed,
            "seconds": arrivals.last_at - began,
            "server_cpu": effort.server_cpu,
        }
        return Tally(storm, figures, () if quiet else ("it never became quiet",))
    finally:
        switchboard.close()


def _sockets(clients: list[Newcomer | PollingClient]) -> list[Newcomer]:
    """The WebSocket of each, where there is one."""
    found = (client.websocket if isinstance(client, PollingClient) else client for client in clients)
    return [client for client in found if client is not None]
