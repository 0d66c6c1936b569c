"""10,000 clients that do nothing: what a connection costs by being there."""

from dataclasses import dataclass, replace

from benchmarks.load.plan import IdlePlan, Tally
from benchmarks.load.spawn import carry_out
from benchmarks.peers.peer import Venue
from benchmarks.processes import descriptors
from benchmarks.scenarios.scenario import (
    BIG_ROOMS_ONLY,
    ONE_NODE_ONLY,
    Bar,
    Conditions,
    Measurement,
    Metric,
    Terms,
    against_python,
    measurement,
)

_CLIENTS = 10_000
_SPARE_DESCRIPTORS = 200
_IN_FLIGHT = 64
_HEARTBEAT_SECONDS = 25.0
_MEMORY = Metric(
    "kilobytes_per_connection",
    "KB/connection",
    ".1f",
    ranged=True,
    less=True,
    title="server memory per connection, KB",
)


@dataclass(frozen=True, slots=True)
class IdleMemory(Terms):
    """As many connections as there may be open files, `_CLIENTS` at most."""

    name: str
    metrics: tuple[Metric, ...] = (
        _MEMORY,
        Metric(
            "cpu_microseconds_per_connection_second",
            "us/connection/s",
            ".2f",
            ranged=True,
            less=True,
            title="server CPU per connection and second, microseconds",
        ),
        Metric("clients", "connections"),
    )

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """Memory before and after they came, and the CPU time of one heartbeat of each."""
        auths = venue.users(min(conditions.scaled(_CLIENTS), descriptors() - _SPARE_DESCRIPTORS))
        plan = IdlePlan(venue.endpoint, auths, _IN_FLIGHT, _HEARTBEAT_SECONDS * conditions.share)
        tally = carry_out(plan, conditions.core, conditions.tell)
        return measurement(lambda: _values(tally), tally.problems, ())


def _values(tally: Tally) -> dict[str, float]:
    clients = tally.figures["clients"]
    return {
        "kilobytes_per_connection": tally.figures["memory"] / clients / 1000,
        "cpu_microseconds_per_connection_second": tally.effort.server_cpu
        / clients
        / tally.effort.seconds
        * 1e6,
        "clients": clients,
    }


_IDLE = IdleMemory(
    "10,000 idle connections",
    bars=(Bar(_MEMORY.key, "node", 0.4, 0.25), against_python(_MEMORY)),
    without=BIG_ROOMS_ONLY,
    rounds=1,
)
CASES = (_IDLE,)
SEVERAL_NODES_CASES = (
    replace(
        _IDLE,
        name="10,000 idle connections on 2 nodes, all processes together",
        bars=(),
        without=ONE_NODE_ONLY,
        extras=frozenset({"nodes"}),
    ),
)
