"""Gathered reads: together where that is cheaper, and never to anybody's harm."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import Connection, create_engine

from hubbub.store.base import StoreUnavailable, Unstorable
from hubbub.store.gathering import Gathering
from hubbub.store.readers import Readers


class Looking:
    """A query that notes its batches; negative keys are impossible, and 99 breaks the database."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, _connection: Connection, keys: Sequence[int]) -> list[str]:
        self.batches.append(list(keys))
        if 99 in keys:
            raise StoreUnavailable("broken")
        if any(key < 0 for key in keys):
            raise Unstorable
        return [f"<{key}>" for key in keys]


@pytest.fixture
async def readers() -> AsyncIterator[Readers]:
    """Threads that read from an empty database."""
    engine = create_engine("sqlite://")
    made = Readers(engine.connect)
    yield made
    made.close()
    engine.dispose()


async def test_keys_asked_for_together_are_looked_up_together(readers: Readers) -> None:
    """Each gets its own answer; later keys are looked up by a later query, which sees later commits."""
    looking = Looking()
    gathering = Gathering(readers, looking)
    assert await asyncio.gather(*map(gathering.ask, (3, 1, 3, 2))) == ["<3>", "<1>", "<3>", "<2>"]
    assert await gathering.ask(1) == "<1>"
    assert looking.batches == [[3, 1, 3, 2], [1]]


async def test_no_query_is_endless(readers: Readers) -> None:
    """Very many keys take several queries."""
    looking = Looking()
    gathering = Gathering(readers, looking)
    answers = await asyncio.gather(*map(gathering.ask, range(1000, 1600)))
    assert answers == [f"<{key}>" for key in range(1000, 1600)]
    assert [len(batch) for batch in looking.batches] == [256, 256, 88]


async def test_an_impossible_key_harms_nobody_else(readers: Readers) -> None:
    """Its caller is told, the others are answered."""
    gathering = Gathering(readers, Looking())
    answers = await asyncio.gather(*map(gathering.ask, (1, -1, 2)), return_exceptions=True)
    assert (answers[0], type(answers[1]), answers[2]) == ("<1>", Unstorable, "<2>")


async def test_a_broken_database_is_told_to_everybody_and_asked_again(readers: Readers) -> None:
    """Each caller gets an error of its own; the next question is a new one."""
    gathering = Gathering(readers, Looking())
    first, second = await asyncio.gather(*map(gathering.ask, (99, 1)), return_exceptions=True)
    assert type(first) is type(second) is StoreUnavailable
    assert first is not second
    assert await gathering.ask(1) == "<1>"


async def test_a_caller_who_goes_away_is_not_missed(readers: Readers) -> None:
    """The others of the same query are answered."""
    gathering = Gathering(readers, Looking())
    gone, there = gathering.ask(1), gathering.ask(2)
    gone.cancel()
    assert await there == "<2>"


async def test_a_query_that_answers_too_little_fails_alone(readers: Readers) -> None:
    """A bug reaches its callers, and does not leave those of later keys waiting for ever."""
    looking = Looking()

    def answer(connection: Connection, keys: Sequence[int]) -> list[str]:
        return looking(connection, keys)[: len(keys) // 2 or 1]

    gathering = Gathering(readers, answer)
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*map(gathering.ask, (1, 2)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError, ValueError]
        assert await gathering.ask(3) == "<3>"


async def test_a_lookup_that_is_cancelled_is_the_last_one_of_nobody(readers: Readers) -> None:
    """Its callers are told, and the next key is looked up."""
    gathering = Gathering(readers, Looking())
    cut_off = gathering.ask(1)
    assert gathering._task is not None
    await asyncio.sleep(0)
    gathering._task.cancel()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(cut_off, return_exceptions=True)
        assert [type(answer) for answer in answers] == [asyncio.CancelledError]
        assert await gathering.ask(2) == "<2>"
