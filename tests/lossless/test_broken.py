"""The checker is worth something: it finds each bug that is seeded, and nothing without one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from tests.lossless.broken import BUGS, program
from tests.lossless.scenarios import SCENARIOS, run
from tests.lossless.violations import Violation, show

AT_ONCE = 4
"""Scenarios played side by side: they mostly wait."""

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
    ("epoch-kept", "restored", "I7 epoch"),
]

# What passes: every scenario without a bug, and one on a bus that swaps messages.
PASSES = [*((None, scenario) for scenario in SCENARIOS), ("unordered-bus", "many at once")]

Played = tuple[list[Violation], str]
Plays = dict[tuple[str | None, str], "asyncio.Task[Played]"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plays(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Plays]:
    """What came of each bug and scenario that this run asks for."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def play(bug: str | None, scenario: str) -> Played:
        async with turn:
            folder: Path = tmp_path_factory.mktemp("data")
            patience = None if bug is None else 0.5
            arena, violations = await run(SCENARIOS[scenario], folder, program(bug), patience)
            return violations, show(arena.history.entries, violations)

    wanted: list[tuple[str | None, str]] = [
        (cast("str | None", item.callspec.params["bug"]), str(item.callspec.params["scenario"]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    # In the order of the tests, so that none waits for all.
    plays = {one: asyncio.create_task(play(*one)) for one in dict.fromkeys(wanted)}
    yield plays
    await asyncio.gather(*plays.values(), return_exceptions=True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("bug", "scenario", "rule"), FINDS)
async def test_found(plays: Plays, bug: str, scenario: str, rule: str) -> None:
    """A server with this bug fails this scenario, and the checker says why."""
    violations, told = await plays[bug, scenario]
    assert rule in {violation.rule for violation in violations}, f"not found; but this was:\n{told}"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("bug", "scenario"), PASSES)
async def test_passes(plays: Plays, bug: str | None, scenario: str) -> None:
    """The server without the bug passes it."""
    violations, told = await plays[bug, scenario]
    assert not violations, told


def test_every_bug_is_looked_for() -> None:
    """No bug is seeded in vain."""
    assert {bug for bug, _, _ in FINDS} | {"unordered-bus"} == set(BUGS)
