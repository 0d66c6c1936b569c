"""Group commit on PostgreSQL: while batches commit, the next gathers (docs/life-of-a-message.md).

    submit ─┬─ ready ────── flush ──> up to `lanes` batches in flight ──> futures done, in one turn
            └─ waiting: its chat or its author is in flight, or waits already

Operations that share a key (a chat, an author) are never in two batches at once, so that they are done, and
their futures completed, in the order they were submitted, whichever batch is faster. An operation that cannot
be done answers with an error of its own; a database that fails, fails the whole batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import monotonic, perf_counter
from typing import Final, Generic, TypeAlias, TypeVar

from hubbub.store.base import StoreError, StoreUnavailable

P = TypeVar("P")
R = TypeVar("R")

Do: TypeAlias = Callable[[Sequence[P]], Awaitable[Sequence[R | StoreError]]]
"""Does the operations of these payloads; answers each, in order, with its result or why it was not done."""

LONGEST_WAIT: Final = 5.0
"""Seconds after which an operation that has not begun is refused; a batch has a deadline of its own."""

LARGEST: Final = 1000
"""Operations of a batch; locks are held as long as it takes."""


class Operation(Generic[P, R]):
    """A payload on its way."""

    __slots__ = ("future", "keys", "payload", "since")

    def __init__(self, payload: P, keys: Sequence[str], future: "asyncio.Future[R]") -> None:
        self.payload = payload
        self.keys = keys
        self.future = future
        self.since = monotonic()

    def complete(self, outcome: R | StoreError) -> None:
        """Answer the caller, unless it has gone away."""
        if self.future.done():
            return
        if isinstance(outcome, StoreError):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        """Tell the caller that nothing was done, unless it has gone away."""
        if self.future.done():
            return
        if isinstance(error, asyncio.CancelledError):
            error = StoreUnavailable("the database did not answer before the server had to stop")
        # Each caller its own: a traceback grows with every place that an exception is raised at.
        self.future.set_exception(
            StoreUnavailable(str(error)) if isinstance(error, StoreUnavailable) else error
        )


class Gathering(Generic[P, R]):
    """Gathers operations of one kind. `keys` names what must not be in two batches at once."""

    def __init__(self, do: Do[P, R], keys: Callable[[P], Iterable[str]], lanes: int) -> None:
        self._do = do
        self._keys = keys
        self._lanes = lanes
        self._loop = asyncio.get_running_loop()
        self._ready: list[Operation[P, R]] = []
        self._waiting: list[Operation[P, R]] = []
        self._held: set[str] = set()  # keys of the batches in flight, and of what waits for them
        self._in_flight: dict[asyncio.Task[None], set[str]] = {}  # each batch with its keys
        self._idle = asyncio.Event()
        self._flush_scheduled = False
        self._closed = False
        self.transactions = 0
        self.operations = 0
        self.seconds = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a batch is in flight."""
        return bool(self._in_flight)

    def submit(self, payload: P) -> "asyncio.Future[R]":
        """Have an operation done in one of the next batches; the future is done after the commit.

        A future that its caller cancels does not take the operation back.
        """
        operation: Operation[P, R] = Operation(
            payload, tuple(self._keys(payload)), self._loop.create_future()
        )
        if self._closed:
            operation.fail(StoreUnavailable("the store is closed"))
        elif self._held.isdisjoint(operation.keys):
            self._ready.append(operation)
            self._schedule()
        else:
            self._wait(operation)
        return operation.future

    def _wait(self, operation: Operation[P, R]) -> None:
        # What shares a key with it must not overtake it.
        self._held.update(operation.keys)
        self._waiting.append(operation)

    def _schedule(self) -> None:
        if not self._flush_scheduled and self._ready and len(self._in_flight) < self._lanes:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what has gathered on its way."""
        self._flush_scheduled = False
        batch = self._take()
        if batch:
            task = self._loop.create_task(self._run(batch))
            self._in_flight[task] = {key for operation in batch for key in operation.keys}
            self._held |= self._in_flight[task]

    def _take(self) -> list[Operation[P, R]]:
        """Return what is ready, the first `LARGEST` of it, but for what has waited too long."""
        oldest = monotonic() - LONGEST_WAIT
        batch: list[Operation[P, R]] = []
        ready, self._ready = self._ready, []
        for operation in ready:
            if operation.since < oldest:
                operation.fail(StoreUnavailable("the database did not answer in time"))
            elif len(batch) < LARGEST:
                batch.append(operation)
            else:
                self._wait(operation)
        return batch

    async def _run(self, batch: list[Operation[P, R]]) -> None:
        begun = perf_counter()
        try:
            outcomes = await self._do([operation.payload for operation in batch])
        except BaseException as error:
            self._land()
            for operation in batch:
                operation.fail(error)
            if not isinstance(error, Exception):
                raise
            return
        self.transactions += 1
        self.operations += len(batch)
        self.seconds += perf_counter() - begun
        # The next batch is on its way before what this one sets off takes the loop's time.
        self._land()
        for operation, outcome in zip(batch, outcomes, strict=True):
            operation.complete(outcome)

    def _land(self) -> None:
        """The batch of this task has ended: let what waited for it begin."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - `_run` is a task
        del self._in_flight[task]
        self._held = set().union(*self._in_flight.values())
        waiting, self._waiting = self._waiting, []
        for operation in waiting:
            if self._held.isdisjoint(operation.keys):
                self._ready.append(operation)
            else:
                self._wait(operation)
        if self._ready and not self._flush_scheduled:
            self._flush()
        if not self._in_flight:
            self._idle.set()

    async def close(self, deadline: float) -> None:
        """Have everything submitted done; what is not after `deadline` seconds fails."""
        self._closed = True
        try:
            async with asyncio.timeout(deadline):
                while self._ready or self._in_flight:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            error = StoreUnavailable("the database did not answer before the server had to stop")
            for operation in (*self._ready, *self._waiting):
                operation.fail(error)
            self._ready, self._waiting = [], []
            for task in self._in_flight:
                task.cancel()
