"""Group commit: what gathers, in which order it is answered, how it ends."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from hubbub.store.base import Conflict, StoreError, StoreUnavailable
from hubbub.store.commit import Batch, GroupCommit


class FakeTransactions:
    """Runs batches without a database; `gate` holds them back, `error` fails them."""

    def __init__(self) -> None:
        self.batches: list[list[list[object]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)
        self.error: Exception | None = None
        self.closed = threading.Event()

    def run(self, batch: Batch) -> None:
        self.batches.append([group.payloads for group in batch])
        self.began.release()
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        for group in batch:
            group.outcomes = group.apply(None, group.payloads)  # type: ignore[arg-type]  # nobody looks at it

    def close(self) -> None:
        self.closed.set()


def double(_connection: Connection, payloads: Sequence[int]) -> list[int | StoreError]:
    """Twice each number; a conflict for odd ones."""
    return [Conflict(str(n)) if n % 2 else 2 * n for n in payloads]


def shout(_connection: Connection, payloads: Sequence[str]) -> list[str | StoreError]:
    """Each word in capitals."""
    return [word.upper() for word in payloads]


@pytest.fixture
def transactions() -> FakeTransactions:
    """Transactions that the test controls."""
    return FakeTransactions()


async def test_one_turns_submissions_are_one_batch(transactions: FakeTransactions) -> None:
    """What is submitted in one turn of the loop goes together, by function, in order."""
    commit = GroupCommit(transactions)
    answers = await asyncio.gather(
        commit.submit(double, 2),
        commit.submit(shout, "a"),
        commit.submit(double, 4),
        commit.submit(shout, "b"),
    )
    assert list(answers) == [4, "A", 8, "B"]
    assert transactions.batches == [[[2, 4], ["a", "b"]]]
    await commit.close(5)


async def test_the_next_batch_gathers_while_one_commits(transactions: FakeTransactions) -> None:
    """Whatever comes during a transaction waits for its end, and then goes together."""
    commit = GroupCommit(transactions)
    transactions.gate.clear()
    first = commit.submit(double, 2)
    await asyncio.to_thread(transactions.began.acquire)
    later = []
    for n in (4, 6, 8):
        later.append(commit.submit(double, n))
        await asyncio.sleep(0)
    assert len(transactions.batches) == 1
    transactions.gate.set()
    assert await asyncio.gather(first, *later) == [4, 8, 12, 16]
    assert transactions.batches == [[[2]], [[4, 6, 8]]]
    await commit.close(5)


async def test_a_batch_is_answered_in_order_and_in_one_turn(transactions: FakeTransactions) -> None:
    """When the first caller of a batch wakes, all others of the batch are answered already, in order."""
    commit = GroupCommit(transactions)
    order: list[int] = []
    futures = [commit.submit(double, n) for n in range(0, 20, 2)]
    for future in futures:
        future.add_done_callback(lambda f: order.append(f.result()))
    await futures[0]
    assert all(future.done() for future in futures)
    await asyncio.gather(*futures)
    assert order == [2 * n for n in range(0, 20, 2)]
    await commit.close(5)


async def test_a_refused_operation_fails_alone(transactions: FakeTransactions) -> None:
    """An error among the outcomes reaches its own caller."""
    commit = GroupCommit(transactions)
    answers = await asyncio.gather(*(commit.submit(double, n) for n in (2, 3, 4)), return_exceptions=True)
    assert answers[::2] == [4, 8]
    assert isinstance(answers[1], Conflict)
    await commit.close(5)


async def test_a_failing_database_fails_the_batch_and_not_the_next(transactions: FakeTransactions) -> None:
    """Every caller gets an error of its own, and the next batch is tried."""
    commit = GroupCommit(transactions)
    transactions.error = StoreUnavailable("full")
    answers = await asyncio.gather(*(commit.submit(double, n) for n in (2, 4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
    assert answers[0] is not answers[1]
    transactions.error = None
    assert await commit.submit(double, 2) == 4
    await commit.close(5)


async def test_a_bug_reaches_its_callers_and_does_not_end_the_thread(transactions: FakeTransactions) -> None:
    """An unexpected error is told, and the next batch is done."""
    commit = GroupCommit(transactions)
    transactions.error = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        await commit.submit(double, 2)
    transactions.error = None
    assert await commit.submit(double, 2) == 4
    await commit.close(5)


async def test_cancelled_callers_are_passed_over(transactions: FakeTransactions) -> None:
    """A caller that went away, before or during the transaction, changes nothing for the others."""
    commit = GroupCommit(transactions)
    transactions.gate.clear()
    futures = [commit.submit(double, n) for n in (2, 4, 6)]
    futures[0].cancel()
    await asyncio.to_thread(transactions.began.acquire)
    futures[1].cancel()
    transactions.gate.set()
    assert await futures[2] == 12
    assert transactions.batches == [[[2, 4, 6]]]
    await commit.close(5)


async def test_closing_finishes_what_was_submitted(transactions: FakeTransactions) -> None:
    """The batch under way and the one that gathers are done before the database is let go."""
    commit = GroupCommit(transactions)
    transactions.gate.clear()
    first = commit.submit(double, 2)
    await asyncio.to_thread(transactions.began.acquire)
    second = commit.submit(double, 4)
    closing = asyncio.create_task(commit.close(5))
    await asyncio.sleep(0)
    assert not transactions.closed.is_set()
    transactions.gate.set()
    await closing
    assert (first.result(), second.result()) == (4, 8)
    assert transactions.closed.is_set()
    with pytest.raises(StoreUnavailable):
        await commit.submit(double, 6)
    await commit.close(5)


async def test_closing_gives_up_on_a_database_that_hangs(transactions: FakeTransactions) -> None:
    """After the deadline every caller is told, and closing returns."""
    commit = GroupCommit(transactions)
    transactions.gate.clear()
    first = commit.submit(double, 2)
    await asyncio.to_thread(transactions.began.acquire)
    second = commit.submit(double, 4)
    await commit.close(0.01)
    for future in (first, second):
        with pytest.raises(StoreUnavailable):
            await future
    transactions.gate.set()
    await asyncio.to_thread(transactions.closed.wait)
