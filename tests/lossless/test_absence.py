"""A JavaScript client that is away while 1000 messages pass has all of them, in order, afterwards."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.lossless.absence import CASES, miss
from tests.lossless.violations import show

pytestmark = [pytest.mark.node, pytest.mark.asyncio(loop_scope="module")]

SECONDS = 3.0
"""Longer than the client takes to notice; the long form has 30."""

AT_ONCE = 3

Absences = dict[str, "asyncio.Task[str]"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def absences(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Absences]:
    """What went wrong in each case that this run asks for."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def play(name: str) -> str:
        async with turn:
            history, violations = await miss(CASES[name], tmp_path_factory.mktemp("data"), SECONDS)
            return show(history.entries, violations)

    wanted = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
    ]
    absences = {name: asyncio.create_task(play(name)) for name in wanted}
    yield absences
    await asyncio.gather(*absences.values(), return_exceptions=True)


@pytest.mark.parametrize("name", CASES)
async def test_nothing_is_missed(absences: Absences, name: str) -> None:
    """Everything is there once the client is back; what may be repeated or cut is as documented."""
    assert not await absences[name]
