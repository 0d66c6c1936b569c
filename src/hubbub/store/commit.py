"""Group commit: while one batch commits in its thread, the next gathers (docs/life-of-a-message.md).

    loop:    submit, submit, submit ─┐ batch     submit, submit … gather      ┌─ all futures done, in one turn
    thread:                          └─ BEGIN … all operations … COMMIT (fsync) ─┘  next batch

Under load a batch is large because the one before it took its time: nothing waits by the clock. An operation
is a pair of a function and its payload; payloads of the same function go to it together, in the order they
were submitted. An operation that cannot be done answers with an error of its own and leaves the others alone;
a database that fails, fails the whole batch, of which nothing is kept.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Final, Protocol, TypeAlias, TypeVar, TypeVarTuple, Unpack, cast

from sqlalchemy import Connection

from hubbub.store import records
from hubbub.store.base import StoreError, StoreUnavailable

P = TypeVar("P")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")
Apply: TypeAlias = Callable[[Connection, Sequence[P]], Sequence[R | StoreError]]
"""Does the operations of these payloads; answers each, in order, with its result or why it was not done."""

AnyApply: TypeAlias = Callable[[Connection, Sequence[object]], Sequence[object]]

log: Final = logging.getLogger(__name__)


class Group:
    """The operations of one function in one batch; `outcomes` answers them after the transaction.

    Types end here: only `GroupCommit.submit` fills a group, and there function, payload and future belong
    together.
    """

    __slots__ = ("apply", "futures", "outcomes", "payloads")

    def __init__(self, apply: AnyApply) -> None:
        self.apply = apply
        self.payloads: list[object] = []
        self.futures: list[asyncio.Future[object]] = []
        self.outcomes: Sequence[object] = ()

    def complete(self) -> None:
        """Answer every caller that has not gone away."""
        for future, outcome in zip(self.futures, self.outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, StoreError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """Tell every caller that has not gone away that nothing was done."""
        for future in self.futures:
            if not future.done():
                # Each caller its own: a traceback grows with every place that an exception is raised at.
                own = StoreUnavailable(str(error)) if isinstance(error, StoreUnavailable) else error
                future.set_exception(own)


Batch: TypeAlias = list[Group]


class Transactions(Protocol):
    """Where batches go: called by the writing thread only."""

    def run(self, batch: Batch) -> None:
        """Do all operations of a batch in one transaction and fill in their outcomes.

        Returns after the commit. Raises `StoreUnavailable` when nothing of it was kept.
        """

    def close(self) -> None:
        """Let go of the database."""


class GroupCommit:
    """Gathers operations on the event loop and has them done, batch by batch, by one thread of its own."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._loop = asyncio.get_running_loop()
        self._pending: dict[AnyApply, Group] = {}
        self._in_flight: Batch | None = None
        self._flush_scheduled = False
        self._closed = False
        self._begun = 0.0
        self._transactions_done = 0
        self._operations_done = 0
        self._seconds = 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = asyncio.Event()
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        # A thread that hangs in a dead disk must not keep the process from ending.
        self._thread = Thread(target=self._work, name="hubbub-commit", daemon=True)
        self._thread.start()

    def submit(self, apply: Apply[P, R], payload: P) -> asyncio.Future[R]:
        """Have an operation done in the next batch; the future is done after the commit.

        Operations of one function are done, and their futures completed, in the order of submission. A future
        that its caller cancels does not take the operation back.
        """
        future: asyncio.Future[R] = self._loop.create_future()
        if self._closed:
            future.set_exception(StoreUnavailable("the store is closed"))
        else:
            group = self._group(cast("AnyApply", apply))
            group.payloads.append(payload)
            group.futures.append(cast("asyncio.Future[object]", future))
        return future

    def _group(self, apply: AnyApply) -> Group:
        """Return the gathering batch's group of this function; the first one sets the batch going."""
        group = self._pending.get(apply)
        if group is None:
            group = self._pending[apply] = Group(apply)
            if self._in_flight is None and not self._flush_scheduled:
                self._flush_scheduled = True
                self._idle.clear()
                self._loop.call_soon(self._flush)
        return group

    def is_doing(self, apply: Apply[P, R]) -> bool:
        """Whether the batch in flight has operations of this function."""
        return any(group.apply is apply for group in self._in_flight or ())

    async def close(self, deadline: float) -> None:
        """Have everything submitted done, then end the thread; after `deadline` seconds give up waiting.

        What is not done by then fails with `StoreUnavailable`, whether or not its transaction ends well
        later.
        """
        self._closed = True
        try:
            async with asyncio.timeout(deadline):
                await self._idle.wait()
                self._batches.put(None)
                await self._ended.wait()
        except TimeoutError:
            error = StoreUnavailable("the database did not answer before the server had to stop")
            for group in [*(self._in_flight or ()), *self._pending.values()]:
                group.fail(error)
            self._pending.clear()
            self._batches.put(None)

    def _flush(self) -> None:
        """Hand what has gathered to the thread."""
        self._flush_scheduled = False
        self._in_flight = list(self._pending.values())
        self._pending.clear()
        self._begun = perf_counter()
        self._batches.put(self._in_flight)

    def figures(self) -> records.Commits:
        """Return what was committed until now."""
        return records.Commits(
            transactions=self._transactions_done, operations=self._operations_done, seconds=self._seconds
        )

    def _done(self, batch: Batch, error: Exception | None) -> None:
        """Answer a batch's callers, and send the next batch on its way first."""
        self._in_flight = None
        if error is None:
            self._transactions_done += 1
            self._operations_done += sum(len(group.payloads) for group in batch)
            self._seconds += perf_counter() - self._begun
        if self._pending:
            self._flush()
        else:
            self._idle.set()
        for group in batch:
            if error is None:
                group.complete()
            else:
                group.fail(error)

    def _work(self) -> None:
        """The thread: one transaction after the other."""
        while (batch := self._batches.get()) is not None:
            error: Exception | None = None
            try:
                self._transactions.run(batch)
            except StoreUnavailable as unavailable:
                error = unavailable
            except Exception as bug:  # noqa: BLE001 a bug must reach its callers, not end the thread
                error = bug
            self._tell(self._done, batch, error)
        try:
            self._transactions.close()
        finally:
            self._tell(self._ended.set)

    def _tell(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            log.warning("the event loop ended before the store was closed")
