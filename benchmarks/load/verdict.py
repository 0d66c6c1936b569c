"""Whether a tally may be printed as a number: what was wrong with it, and what disturbed it.

Wrong counts are the server's fault (or the load generator's) and spoil a result for good. A disturbance says
that something else than the server was measured; another round may be better.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from benchmarks.load.plan import Counts, Effort

OWN_LIMIT: Final = 0.85
"""Share of the time above which the load generator may have been what was measured..."""
SERVER_SATURATED: Final = 0.9
"""...unless the server had no time left either."""
TAKEN_LIMIT: Final = 0.1
"""Share of the time that the server's core may give to others, the kernel's own threads among them."""


def wrong_counts(counts: Counts, *, ordered: bool = True) -> tuple[str, ...]:
    """What does not add up; empty when every message went to everybody, once and, if `ordered`, in order."""
    return tuple(_wrong(counts if ordered else replace(counts, swapped=0)))


def disturbances(effort: Effort) -> tuple[str, ...]:
    """Why the speed is not the server's; empty when it is."""
    return (*too_slow(effort), *taken(effort))


def _wrong(counts: Counts) -> Iterator[str]:
    for count, what in (
        (counts.lost, "lost"),
        (counts.repeated, "delivered twice"),
        (counts.swapped, "out of order"),
    ):
        if count:
            yield f"{count} deliveries {what}"
    if counts.acknowledged != counts.sent:
        yield f"{counts.sent} messages sent but {counts.acknowledged} acknowledged"
    if counts.broadcast > counts.sent:
        yield f"{counts.sent} messages sent but {counts.broadcast} broadcast"
    if not counts.broadcast:
        yield "nothing was delivered"


def too_slow(effort: Effort) -> tuple[str, ...]:
    """A process is busy while it runs or waits for its core: a starved load generator measures itself too."""
    own = (effort.own_cpu + effort.own_waited) / effort.seconds
    server = (effort.server_cpu + effort.server_waited) / effort.seconds
    if own > OWN_LIMIT and server < SERVER_SATURATED:
        busy = f"busy {own:.0%} of the time, the server only {server:.0%}"
        return (f"the load generator was the bottleneck: {busy}",)
    return ()


def taken(effort: Effort) -> tuple[str, ...]:
    """The server's core was not its own."""
    share = effort.taken / effort.seconds
    return (f"other programs took {share:.0%} of the server's core",) if share > TAKEN_LIMIT else ()


def overworked(effort: Effort) -> tuple[str, ...]:
    """Where every moment counts, the load generator has to have time to spare, whatever the server has."""
    own = (effort.own_cpu + effort.own_waited) / effort.seconds
    return (f"the load generator was the bottleneck: busy {own:.0%} of the time",) if own > OWN_LIMIT else ()
