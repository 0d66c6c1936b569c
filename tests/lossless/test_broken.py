"""The checker is worth something: it finds each bug that is seeded, and nothing without one."""

from pathlib import Path

import pytest

from tests.lossless.broken import BUGS, program
from tests.lossless.scenarios import SCENARIOS, run
from tests.lossless.violations import show

FINDS = [
    # bug, scenario, what the checker must say (among other things)
    ("ack-before-commit", "killed after acks", "I1 lost"),
    ("number-outside-the-transaction", "retried", "I3 dense"),
    ("client-id-not-stored", "retried after a kill", "I2 once"),
    ("high-water-mark", "out of order", "I1 lost"),
    ("order-not-checked", "many at once", "I4 gap"),
    ("cursor-too-far", "missed, by token", "I4 gap"),
    ("cursor-too-far", "missed, with lastSeq", "I4 gap"),
    ("cursor-too-far", "missed, by state recovery", "I4 gap"),
    ("cursor-too-near", "missed, by token", "I5 repeated"),
    ("cursor-too-near", "missed, with lastSeq", "I5 repeated"),
    ("cursor-too-near", "missed, by state recovery", "I5 repeated"),
    ("token-not-rotated", "recovered twice", "token not rotated"),
    ("token-never-spent", "recovered twice", "token not rotated"),
    ("membership-cached", "removed while away, token", "I8 membership"),
    ("membership-cached", "removed while away, state recovery", "I8 membership"),
    ("expulsion-not-heard", "removed while there", "I8 membership"),
    ("written-is-received", "swallowed", "I4 gap"),
    ("silently-truncated", "many missed", "I4 gap"),
]


@pytest.mark.parametrize(("bug", "scenario", "rule"), FINDS)
async def test_found(bug: str, scenario: str, rule: str, tmp_path: Path) -> None:
    """A server with this bug fails this scenario."""
    arena, violations = await run(SCENARIOS[scenario], tmp_path, program(bug))
    told = show(arena.history.entries, violations)
    assert rule in {violation.rule for violation in violations}, f"not found; but this was:\n{told}"


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_passes(scenario: str, tmp_path: Path) -> None:
    """The server without a bug passes it."""
    arena, violations = await run(SCENARIOS[scenario], tmp_path)
    assert not violations, show(arena.history.entries, violations)


async def test_order_is_put_right(tmp_path: Path) -> None:
    """A bus that swaps messages is no harm where the order is checked."""
    arena, violations = await run(SCENARIOS["many at once"], tmp_path, program("unordered-bus"))
    assert not violations, show(arena.history.entries, violations)


def test_every_bug_is_looked_for() -> None:
    """No bug is seeded in vain."""
    assert {bug for bug, _, _ in FINDS} | {"unordered-bus"} == set(BUGS)
