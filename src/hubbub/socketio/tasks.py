# A stretch of the way in docs/life-of-a-message.md.
"""The owner of every task of a server, and the crew of workers that handle what arrives."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final

log = logging.getLogger(__name__)

_RESERVE: Final = 16
"""Workers that wait for work; those that are more than that end."""


def being_cancelled() -> bool:
    """Whether the current task was asked to end; a `CancelledError` without that is just an error."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Tasks:
    """Keeps tasks alive while they run and ends them with the server."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self.closed = False

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run `work`, which handles its own errors. Not to be called once `closed`."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self, timeout: float) -> None:
        """Give the running tasks `timeout` seconds to end, then cancel the rest and wait for them."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while self._running and loop.time() < end:
            await asyncio.wait(self._running, timeout=end - loop.time())
        self.closed = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task failed", exc_info=error)

    def __len__(self) -> int:
        return len(self._running)


class Crew:
    """Workers that do one piece of work after the other, so that short ones cost no task of their own.

    While a worker awaits something in the middle of a piece, another one goes on with the rest: no piece
    waits for another. Pieces handle their own errors.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._pieces: deque[Callable[[], Coroutine[object, object, None]]] = deque()
        self._waiting: list[asyncio.Future[None]] = []
        # Whether a worker was called that has not begun yet: one is enough, it calls the next.
        self._coming = False
        self._dismissed = False

    def call(self, piece: Callable[[], Coroutine[object, object, None]]) -> None:
        """Have a worker do `piece` soon, behind those that wait; never once the server has ended."""
        self._pieces.append(piece)
        if not self._coming:
            self._call_one()

    def dismiss(self) -> None:
        """Let workers end as soon as they have nothing to do."""
        self._dismissed = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    def _call_one(self) -> None:
        if self._waiting:
            self._coming = True
            self._waiting.pop().set_result(None)
        elif not self._tasks.closed:
            self._coming = True
            self._tasks.spawn(self._work())

    async def _work(self) -> None:
        while True:
            self._coming = False
            while self._pieces:
                piece = self._pieces.popleft()
                if self._pieces and not self._coming:
                    self._call_one()
                await piece()
            if self._dismissed or len(self._waiting) >= _RESERVE:
                return
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
