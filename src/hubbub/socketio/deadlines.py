"""Deadlines that are all equally long: one timer for any number of them.

As each deadline ends later than those started before it, the first one of the queue is always the next to
end.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable


class Deadlines:
    """Calls what was started and was not stopped within `delay` seconds."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._ends: OrderedDict[Callable[[], None], float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, expired: Callable[[], None]) -> None:
        """Call `expired` once unless it is stopped in time. Starting it again starts its time anew."""
        self._ends.pop(expired, None)
        self._ends[expired] = asyncio.get_running_loop().time() + self._delay
        self._set_timer()

    def stop(self, expired: Callable[[], None]) -> None:
        """Do not call `expired` any more; nothing happens when it was not started."""
        self._ends.pop(expired, None)
        if not self._ends and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        """Let the one timer ring when the first deadline ends, if it is not set already."""
        if self._timer is None and self._ends:
            self._timer = asyncio.get_running_loop().call_at(next(iter(self._ends.values())), self._ring)

    def _ring(self) -> None:
        """Call all that are due."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._ends:
            expired, end = next(iter(self._ends.items()))
            if end > now:
                break
            del self._ends[expired]
            expired()
        self._set_timer()

    def __len__(self) -> int:
        return len(self._ends)
