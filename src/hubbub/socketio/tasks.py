"""The owner of every task of a server."""

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger(__name__)


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
