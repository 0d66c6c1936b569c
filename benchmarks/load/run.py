"""Leads the crowd through a plan: open, fall silent, warm up, measure, settle."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load.crowd import Crowd
from benchmarks.load.plan import Plan, Tally
from benchmarks.usage import Usage

_OPEN_SECONDS = 60.0
_SILENT_SECONDS = 0.4
_SILENCE_SECONDS_AT_MOST = 10.0
_SETTLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Edge:
    """All counters at one moment."""

    at: float
    deliveries: int
    messages: int
    server: Usage
    own: Usage


def carry_out(plan: Plan, own: int, tell: Callable[[str], None] = lambda _: None) -> Tally:
    """Do what `plan` says, and tell each phase as it begins. `own` is the process id of the load generator.

    Raises LoadError when members cannot join or a connection ends, ProcessLookupError when the server does.
    """
    crowd = Crowd(plan)
    try:
        tell("connecting")
        crowd.open(time.monotonic() + _OPEN_SECONDS)
        _fall_silent(crowd)
        tell("warming up")
        crowd.start()
        crowd.run(lambda: False, time.monotonic() + plan.warm)
        tell("measuring")
        first = _edge(crowd, own)
        crowd.run(lambda: False, time.monotonic() + plan.measure)
        last = _edge(crowd, own)
        tell("settling")
        _settle(crowd)
        return _tally(crowd, first, last)
    finally:
        crowd.close()


def _fall_silent(crowd: Crowd) -> None:
    """Wait until the joining has no echo any more (who is online now), so that it is not measured."""
    deadline = time.monotonic() + _SILENCE_SECONDS_AT_MOST
    while time.monotonic() < deadline:
        heard = crowd.conversation.asides
        crowd.run(lambda: False, time.monotonic() + _SILENT_SECONDS)
        if crowd.conversation.asides == heard:
            return


def _edge(crowd: Crowd, own: int) -> _Edge:
    crowd.sweep()
    deliveries = sum(crowd.transcript.received(member) for member in crowd.members)
    return _Edge(
        time.monotonic(), deliveries, crowd.transcript.count, Usage.of(crowd.plan.server), Usage.of(own)
    )


def _settle(crowd: Crowd) -> None:
    """Send no more and wait for every ack and every delivery, or for the deadline."""
    crowd.conversation.talking = False

    def settled() -> bool:
        said = crowd.conversation
        return said.acknowledged == said.sent and all(
            crowd.transcript.received(member) == said.sent for member in crowd.members
        )

    crowd.run(settled, time.monotonic() + _SETTLE_SECONDS)
    crowd.run(lambda: False, time.monotonic() + 0.05)  # a delivery too many would come now


def _tally(crowd: Crowd, first: _Edge, last: _Edge) -> Tally:
    said, transcript = crowd.conversation, crowd.transcript
    deviations = [member.deviation for member in crowd.members if member.deviation is not None]
    received = [transcript.received(member) for member in crowd.members]
    server_cpu = last.server.cpu - first.server.cpu
    return Tally(
        seconds=last.at - first.at,
        deliveries=last.deliveries - first.deliveries,
        messages=last.messages - first.messages,
        server_cpu=server_cpu,
        server_waited=last.server.waited - first.server.waited,
        own_cpu=last.own.cpu - first.own.cpu,
        own_waited=last.own.waited - first.own.waited,
        taken=max(0.0, last.server.core - first.server.core - server_cpu),
        sent=said.sent,
        acknowledged=said.acknowledged,
        broadcast=max(received),
        lost=sum(transcript.lost(member, said.sent) for member in crowd.members),
        repeated=sum(deviation.repeated for deviation in deviations),
        swapped=sum(deviation.swapped for deviation in deviations),
        problems=(*said.problems, *transcript.problems[:5]),
    )
