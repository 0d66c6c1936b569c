"""The bus of one process (docs/life-of-a-message.md).

A telling is delivered to all subscribers before `publish` returns.

Only when a subscriber publishes in turn does its telling wait, until the one being delivered has reached
everybody: all subscribers see everything in one order.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from hubbub.cluster.base import Telling

logger = logging.getLogger(__name__)


class LocalBus:
    """Implements `cluster.base.Bus`. A subscriber that raises is logged and left out of that telling only."""

    def __init__(self) -> None:
        self._subscribers: tuple[Callable[[Telling], None], ...] = ()
        self._waiting: deque[Telling] = deque()
        self._delivering = False

    def subscribe(self, deliver: Callable[[Telling], None]) -> None:
        """Have `deliver` called for everything told from now on; it must not block or raise."""
        self._subscribers = (*self._subscribers, deliver)

    def publish(self, telling: Telling) -> None:
        """Tell all subscribers, in the order of publishing."""
        waiting = self._waiting
        waiting.append(telling)
        if self._delivering:
            return
        self._delivering = True
        while waiting:
            self._deliver(waiting.popleft())
        self._delivering = False

    def watch(self, chat_id: str) -> asyncio.Future[None]:
        """There are no other nodes: everything is heard."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def unwatch(self, chat_id: str) -> None:
        """There are no other nodes."""

    def _deliver(self, telling: Telling) -> None:
        for deliver in self._subscribers:
            try:
                deliver(telling)
            except Exception:
                logger.exception("A subscriber of the bus failed on %s", type(telling).__name__)
