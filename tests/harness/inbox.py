"""What one client was told, in order, and ways to wait for more of it.

A client's own life is told under names that no server event can have: `$connect`, `$upgrade`, `$disconnect`,
`$connect_error`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 8.0
"""Seconds until a wait fails; long, since a busy machine is no bug."""


@dataclass(frozen=True, slots=True)
class Received:
    """One event, with all its arguments and the monotonic time of its arrival."""

    name: str
    args: list[Any]
    at: float = field(default_factory=time.monotonic)

    @property
    def payload(self) -> Any:
        """The first argument: what a handler with one parameter gets."""
        return self.args[0] if self.args else None


class Inbox:
    """The events of one client since it was made, or since `forget`."""

    def __init__(self) -> None:
        self.log: list[Received] = []
        self._changed = asyncio.Event()

    def add(self, name: str, args: list[Any]) -> None:
        """Keep an event and wake who waits for one."""
        self.log.append(Received(name, args))
        self._changed.set()

    def forget(self) -> None:
        """Drop what came so far, so that a wait sees only what is to come."""
        self.log.clear()

    def events(self, name: str) -> list[Received]:
        """All events of that name, oldest first."""
        return [event for event in self.log if event.name == name]

    def seen(self, name: str) -> list[Any]:
        """Their payloads."""
        return [event.payload for event in self.events(name)]

    async def wait(
        self, name: str, predicate: Callable[[Any], object] | None = None, timeout: float = PATIENCE
    ) -> Any:
        """The payload of the first event of that name, come or to come, that the predicate accepts."""

        def first() -> Received | None:
            fitting = (e for e in self.events(name) if predicate is None or predicate(e.payload))
            return next(fitting, None)

        return (await self.until(first, timeout, name)).payload

    async def wait_count(self, name: str, count: int, timeout: float = PATIENCE) -> list[Any]:
        """The payloads of that name once there are at least `count` of them."""

        def enough() -> list[Any] | None:
            payloads = self.seen(name)
            return payloads if len(payloads) >= count else None

        return await self.until(enough, timeout, f"{count} x {name}")

    async def until(self, find: Callable[[], T | None], timeout: float, what: str) -> T:
        """What `find` returns, looked for anew at each event, once it is not None."""
        deadline = time.monotonic() + timeout
        while (found := find()) is None:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - time.monotonic())
            except TimeoutError:
                told = ", ".join(event.name for event in self.log[-40:]) or "nothing"
                raise AssertionError(f"waited {timeout:g} s for {what}; was told: {told}") from None
        return found


async def eventually(
    condition: Callable[[], Awaitable[T | None]], timeout: float = PATIENCE, what: str = "the condition"
) -> T:
    """What the condition returns once it is neither None nor False; for what nobody tells of."""
    deadline = time.monotonic() + timeout
    while True:
        found = await condition()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        await asyncio.sleep(0.02)


async def watch(seconds: float) -> None:
    """Let time pass, to see what does not happen in it, or what time alone does; never to wait for work."""
    await asyncio.sleep(seconds)
