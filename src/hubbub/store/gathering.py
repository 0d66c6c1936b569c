"""Gathered reads: what a storm of connections asks one by one is looked up together.

    ask, ask, ask ─┐          ask, ask … gather ─┐
                   └─ one query of all their keys └─ the next one

Nothing waits by the clock: while one query is under way the keys of the next gather. A query by itself costs
many times what a further key in it does.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from hubbub.store.base import StoreUnavailable, Unstorable
from hubbub.store.readers import Readers

K = TypeVar("K")
R = TypeVar("R")

_MOST: Final = 256


class Gathering(Generic[K, R]):
    """Answers keys by `query`, which answers many at a time, in their order."""

    def __init__(self, readers: Readers, query: Callable[[Connection, Sequence[K]], Sequence[R]]) -> None:
        self._readers = readers
        self._query = query
        self._waiting: list[tuple[K, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None

    def ask(self, key: K) -> asyncio.Future[R]:
        """Look up a key. The future raises as `Readers.run` does; it sees all that was committed before."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        self._waiting.append((key, answer))
        if self._task is None:
            self._task = loop.create_task(self._work())
        return answer

    async def _work(self) -> None:
        asked: list[tuple[K, asyncio.Future[R]]] = []
        try:
            while self._waiting:
                asked, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._look_up(asked)
        except asyncio.CancelledError:
            for _, future in asked:
                future.cancel()
            raise
        finally:
            # However it ended: the next key is looked up by a new one.
            self._task = None

    async def _look_up(self, asked: list[tuple[K, asyncio.Future[R]]]) -> None:
        keys = [key for key, _ in asked]
        try:
            answers = await self._readers.run(lambda connection: self._query(connection, keys))
            answered = list(zip(asked, answers, strict=True))
        except Exception as error:  # noqa: BLE001 a bug must reach its callers, not end this task
            if isinstance(error, Unstorable) and len(asked) > 1:
                # Only whoever brought the impossible key is to suffer from it.
                for one in asked:
                    await self._look_up([one])
                return
            for _, future in asked:
                if not future.done():
                    # Each caller its own: a traceback grows with every place that an exception is raised at.
                    future.set_exception(
                        StoreUnavailable(str(error)) if isinstance(error, StoreUnavailable) else error
                    )
        else:
            for (_, future), answer in answered:
                if not future.done():
                    future.set_result(answer)
