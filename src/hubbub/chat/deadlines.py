"""Deadlines: things to do a fixed time after they were asked for, by the thousand.

    set(key) -> ... delay ... -> act([key, ...])

All wait for the same time, so they fall due in the order in which they were set: one dict, one timer for
the first of it, and one task while something is being done.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, Protocol, TypeVar

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

_TICK: Final = 0.001
"""How exact the clocks of event loops are, in seconds."""


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> object:
        """Have it not come."""


class Timers(Protocol):
    """What an event loop knows of time."""

    def time(self) -> float:
        """Return the time in seconds; it never goes back."""

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        """Call something at a time."""


class Deadlines(Generic[Key]):
    """Calls `act` with the keys whose `delay` (seconds) is over, one call after the other.

    An error that `act` raises is logged. `timers` is the running event loop when not given. Must be closed.
    """

    def __init__(
        self, delay: float, act: Callable[[list[Key]], Awaitable[None]], timers: Timers | None = None
    ) -> None:
        self._delay = delay
        self._act = act
        self._timers = timers
        self._due: dict[Key, float] = {}
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __contains__(self, key: Key) -> bool:
        """Whether a key is waiting."""
        return key in self._due

    def __len__(self) -> int:
        """How many keys are waiting."""
        return len(self._due)

    def set(self, key: Key) -> None:
        """Have `key` acted upon after the whole delay, counted from now even when it was set before."""
        self._due.pop(key, None)
        self._due[key] = self._clock().time() + self._delay
        self._arm()

    def cancel(self, key: Key) -> bool:
        """Have nothing done about a key; False when it was not waiting."""
        return self._due.pop(key, None) is not None

    async def close(self) -> list[Key]:
        """Finish what has begun and begin nothing more. Returns the keys that were still waiting."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await self._task
        left, self._due = list(self._due), {}
        return left

    def _clock(self) -> Timers:
        if self._timers is None:
            self._timers = asyncio.get_running_loop()
        return self._timers

    def _arm(self) -> None:
        """Set the timer for the first key. It is never set back: fired too early, it is set anew."""
        if self._due and self._timer is None and self._task is None and not self._closed:
            self._timer = self._clock().call_at(next(iter(self._due.values())), self._fire)

    def _fire(self) -> None:
        self._timer = None
        due = self._take()
        if due:
            self._task = asyncio.get_running_loop().create_task(self._run(due))
        else:
            self._arm()

    def _take(self) -> list[Key]:
        until = self._clock().time() + _TICK
        due: list[Key] = []
        for key, when in self._due.items():
            if when > until:
                break
            due.append(key)
        for key in due:
            del self._due[key]
        return due

    async def _run(self, due: list[Key]) -> None:
        try:
            await self._act(due)
        except Exception:
            log.exception("What was due could not be done")
        self._task = None
        self._arm()
