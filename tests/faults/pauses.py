"""Holding a server in the test's process at a moment of the test's choice."""

import asyncio
from collections.abc import Callable
from typing import Any


class Pause:
    """A place in the server where the next one to come by waits until `go_on`."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name
        self._original: Callable[..., Any] = getattr(owner, name)
        self.reached = asyncio.Event()
        self._may_go = asyncio.Event()
        setattr(owner, name, self._wait)

    async def _wait(self, *args: Any, **kwargs: Any) -> Any:
        setattr(self._owner, self._name, self._original)
        result = await self._original(*args, **kwargs)
        self.reached.set()
        await self._may_go.wait()
        return result

    def go_on(self) -> None:
        """Let it pass."""
        self._may_go.set()
