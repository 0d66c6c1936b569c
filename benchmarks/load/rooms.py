"""Leads a crowd in its rooms through a plan: open, fall silent, warm up, measure, settle."""

import time
from collections.abc import Callable

from benchmarks.load.crowd import Crowd
from benchmarks.load.member import Member, SlowMember
from benchmarks.load.meter import Meter
from benchmarks.load.plan import Counts, RoomsPlan, Tally
from benchmarks.load.verdict import wrong_counts
from benchmarks.usage import memory_of_all

_OPEN_SECONDS = 300.0  # everybody in a room is told of each who joins: with thousands, that takes its time
_SILENT_SECONDS = 0.4
_SILENCE_SECONDS_AT_MOST = 10.0
_SETTLE_SECONDS = 10.0


def carry_out(plan: RoomsPlan, own: int, tell: Callable[[str], None]) -> Tally:
    """Figures: `deliveries` (a `message:new` received whole by one member) and `messages`.

    With slow members also `grown`, the server's memory in bytes, and how many of them it `cut` off.
    """
    crowd = Crowd(plan)
    try:
        tell("connecting")
        crowd.open(time.monotonic() + _OPEN_SECONDS)
        fall_silent(crowd)
        tell("warming up")
        memory_before = memory_of_all(plan.endpoint.processes)
        crowd.doze()
        crowd.start()
        crowd.run(lambda: False, time.monotonic() + plan.warm)
        tell("measuring")
        before, meter = _received(crowd), Meter(plan.endpoint, own)
        crowd.run(lambda: False, time.monotonic() + plan.measure)
        after, effort = _received(crowd), meter.read()
        grown = memory_of_all(plan.endpoint.processes) - memory_before
        tell("settling")
        settle(crowd)
        cut = crowd.wake(_SETTLE_SECONDS)
        counts = counted(crowd)
        figures = {
            "deliveries": after[0] - before[0],
            "messages": after[1] - before[1],
            "grown": grown,
            "cut": cut,
        }
        wrong = wrong_counts(counts, ordered=plan.ordered)
        return Tally(effort, figures, (*wrong, *complaints(crowd)), counts)
    finally:
        crowd.close()


def fall_silent(crowd: Crowd) -> None:
    """Wait until the joining has no echo any more (who is online now), so that it is not measured."""
    deadline = time.monotonic() + _SILENCE_SECONDS_AT_MOST
    while time.monotonic() < deadline:
        heard = crowd.asides
        crowd.run(lambda: False, time.monotonic() + _SILENT_SECONDS)
        if crowd.asides == heard:
            return


def _received(crowd: Crowd) -> tuple[int, int]:
    """Deliveries and messages so far. Where there is no one order, the transcript is behind: acks count."""
    crowd.sweep()
    deliveries = sum(member.transcript.received(member) for member in crowd.prompt)
    ordered = crowd.plan.ordered
    return deliveries, sum(said.count if ordered else said.acknowledged for said in crowd.conversations)


def settle(crowd: Crowd) -> None:
    """Send no more and wait for every ack and every delivery, or for the deadline."""
    crowd.stop()

    def settled() -> bool:
        return all(said.acknowledged == said.sent for said in crowd.conversations) and all(
            member.transcript.received(member) == member.conversation.sent for member in crowd.prompt
        )

    crowd.run(settled, time.monotonic() + _SETTLE_SECONDS)
    crowd.run(lambda: False, time.monotonic() + 0.05)  # a delivery too many would come now


def counted(crowd: Crowd) -> Counts:
    """All messages from first to last."""
    members = [(member, member.conversation) for member in crowd.members]
    deviations = [member.deviation for member in crowd.members if member.deviation is not None]
    most = {id(said): 0 for said in crowd.conversations}
    for member, said in members:
        most[id(said)] = max(most[id(said)], member.transcript.received(member))
    return Counts(
        sent=sum(said.sent for said in crowd.conversations),
        acknowledged=sum(said.acknowledged for said in crowd.conversations),
        broadcast=sum(most.values()),
        # Who was cut off has a beginning of it, without gaps; the rest is for a recovery.
        lost=sum(
            member.transcript.lost(
                member, member.transcript.received(member) if _is_cut(member) else said.sent
            )
            for member, said in members
        ),
        repeated=sum(deviation.repeated for deviation in deviations),
        swapped=sum(deviation.swapped for deviation in deviations),
    )


def _is_cut(member: Member) -> bool:
    return isinstance(member, SlowMember) and member.cut


def complaints(crowd: Crowd) -> tuple[str, ...]:
    """What was wrong with single messages, the first few."""
    transcripts = [one for said in crowd.conversations for one in said.transcripts]
    found = [problem for one in transcripts for problem in one.problems]
    return (*crowd.problems[:5], *found[:5])
