"""Typing and receipts in 40 rooms of 5: small requests that many are told of."""

from dataclasses import dataclass

from benchmarks.load.plan import SignalsPlan, Tally
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

_ROOMS, _MEMBERS = 40, 5
_MESSAGES = 400
"""To read, in each room: enough for 20,000 requests a second in five seconds."""
_REQUESTS = Metric("requests_per_second", "requests/s", ranged=True, title="requests per second")


@dataclass(frozen=True, slots=True)
class TypingReceipts(Terms):
    """Everybody has one request without an answer: typing, a receipt, no more typing, and again."""

    name: str
    metrics: tuple[Metric, ...] = (
        _REQUESTS,
        Metric(
            "cpu_microseconds_per_request",
            "us/request",
            ".1f",
            ranged=True,
            less=True,
            title="server CPU per request, microseconds",
        ),
        Metric("server_cpu_share", "CPU", ".0%"),
        Metric("load_cpu_share", "load CPU", ".0%"),
    )

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """The rooms of a fresh server, from the messages that will be read to the last receipt."""
        plan = SignalsPlan(
            endpoint=venue.endpoint,
            rooms=venue.open_rooms((_MEMBERS,) * _ROOMS),
            messages=_MESSAGES,
            warm=conditions.warm,
            measure=conditions.measure,
        )
        tally = carry_out(plan, conditions.core, conditions.tell)
        return measurement(lambda: _values(tally), tally.problems, disturbances(tally.effort))


def _values(tally: Tally) -> dict[str, float]:
    effort, requests = tally.effort, tally.figures["requests"]
    return {
        "requests_per_second": requests / effort.seconds,
        "cpu_microseconds_per_request": effort.server_cpu / requests * 1e6,
        "server_cpu_share": effort.server_cpu / effort.seconds,
        "load_cpu_share": effort.own_cpu / effort.seconds,
    }


CASES = (TypingReceipts("typing and receipts", bars=(against_python(_REQUESTS),), without=BIG_ROOMS_ONLY),)
