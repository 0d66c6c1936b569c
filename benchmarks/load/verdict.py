"""Whether a tally may be printed as a number: what was wrong with it, and what disturbed it.

Wrong counts are the server's fault (or the load generator's) and spoil a result for good. A disturbance says
that something else than the server was measured; another round may be better.
"""

from collections.abc import Iterator
from typing import Final

from benchmarks.load.plan import Tally

OWN_LIMIT: Final = 0.85
"""Share of the time above which the load generator may have been what was measured..."""
SERVER_SATURATED: Final = 0.9
"""...unless the server had no time left either."""
TAKEN_LIMIT: Final = 0.1
"""Share of the time that the server's core may give to others, the kernel's own threads among them."""


def objections(tally: Tally) -> tuple[str, ...]:
    """What does not add up; empty when every message went to everybody, once and in order."""
    return tuple(_wrong_counts(tally))


def disturbances(tally: Tally) -> tuple[str, ...]:
    """Why the speed is not the server's; empty when it is."""
    return tuple(_disturbed(tally))


def _wrong_counts(tally: Tally) -> Iterator[str]:
    for count, what in (
        (tally.lost, "lost"),
        (tally.repeated, "delivered twice"),
        (tally.swapped, "out of order"),
    ):
        if count:
            yield f"{count} deliveries {what}"
    if tally.acknowledged != tally.sent:
        yield f"{tally.sent} messages sent but {tally.acknowledged} acknowledged"
    if tally.broadcast > tally.sent:
        yield f"{tally.sent} messages sent but {tally.broadcast} broadcast"
    if not tally.deliveries:
        yield "nothing was delivered"
    yield from tally.problems


def _disturbed(tally: Tally) -> Iterator[str]:
    """A process is busy while it runs or waits for its core: a starved load generator measures itself too."""
    own = (tally.own_cpu + tally.own_waited) / tally.seconds
    server = (tally.server_cpu + tally.server_waited) / tally.seconds
    if own > OWN_LIMIT and server < SERVER_SATURATED:
        yield (
            f"the load generator was the bottleneck: busy {own:.0%} of the time, the server only {server:.0%}"
        )
    taken = tally.taken / tally.seconds
    if taken > TAKEN_LIMIT:
        yield f"other programs took {taken:.0%} of the server's core"
