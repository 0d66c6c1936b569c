"""The crew: a piece of work costs no task, and none waits for another."""

import asyncio

import pytest

from hubbub.socketio.tasks import Crew, Tasks
from tests.socketio.fakes import eventually


async def test_short_pieces_share_a_worker() -> None:
    """However many there are, they are done in order, by a few workers that then wait for more."""
    tasks = Tasks()
    crew = Crew(tasks)
    done: list[int] = []

    async def piece(number: int) -> None:
        done.append(number)

    for _ in range(3):
        done.clear()
        for number in range(500):
            crew.call(lambda number=number: piece(number))  # type: ignore[misc]
        await eventually(lambda: len(done) == 500)
        assert done == list(range(500))
        assert len(tasks) <= 2
    crew.dismiss()
    await eventually(lambda: len(tasks) == 0)


async def test_no_piece_waits_for_another() -> None:
    """Whatever stands still in the middle, the others go on; and all of them end when they can."""
    tasks = Tasks()
    crew = Crew(tasks)
    gate = asyncio.Event()
    begun: list[int] = []
    ended: list[int] = []

    async def piece(number: int) -> None:
        begun.append(number)
        if number % 2:
            await gate.wait()
        ended.append(number)

    for number in range(100):
        crew.call(lambda number=number: piece(number))  # type: ignore[misc]
    await eventually(lambda: len(begun) == 100)
    assert ended == list(range(0, 100, 2))
    gate.set()
    await eventually(lambda: len(ended) == 100)
    await eventually(lambda: len(tasks) <= 16)


async def test_a_server_that_ends_does_not_wait_for_idle_workers() -> None:
    """Workers that wait for work leave at once; one in the middle of a piece has until the deadline."""
    tasks = Tasks()
    crew = Crew(tasks)
    cancelled: list[str] = []

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("stuck")
            raise

    async def short() -> None:
        """Nothing to do."""

    crew.call(short)
    await eventually(lambda: len(tasks) == 1)
    await asyncio.sleep(0)
    crew.dismiss()
    await asyncio.wait_for(tasks.close(30.0), 5)
    assert len(tasks) == 0

    tasks = Tasks()
    crew = Crew(tasks)
    crew.call(stuck)
    await asyncio.sleep(0)
    crew.dismiss()
    await asyncio.wait_for(tasks.close(0.05), 5)
    assert cancelled == ["stuck"]
    crew.call(short)
    assert len(tasks) == 0


@pytest.mark.parametrize("pieces", [1, 40])
async def test_workers_beyond_the_reserve_end(pieces: int) -> None:
    """A rush leaves no more than a few behind."""
    tasks = Tasks()
    crew = Crew(tasks)
    gate = asyncio.Event()

    async def piece() -> None:
        await gate.wait()

    for _ in range(pieces):
        crew.call(piece)
    await eventually(lambda: len(tasks) == pieces)
    gate.set()
    await eventually(lambda: len(tasks) == min(pieces, 16))
    crew.dismiss()
    await eventually(lambda: len(tasks) == 0)
