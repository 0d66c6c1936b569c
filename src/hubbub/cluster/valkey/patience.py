"""How long an answer of Valkey is waited for where nobody may be held up: about 30 ms.

It is counted in turns of a timer and not in seconds: a node that was held up itself, and comes late to an
answer that is there, finds one turn over, and does not take its own delay for Valkey's.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

_TURN: Final = 0.01
_TURNS: Final = 3


class Patience:
    """Calls `late` when an answer does not come in time. Must be closed."""

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._answer: asyncio.Future[Any] | None = None
        self._turns = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_over(self) -> bool:
        """Whether the answer that is waited for is late."""
        return self._turns > _TURNS and self._answer is not None and not self._answer.done()

    def wait_for(self, answer: "asyncio.Future[Any]") -> None:
        """Begin to wait for an answer; the one before it has come, or will not."""
        self._answer = answer
        self._turns = 0
        if self._timer is None:
            self._arm()

    def close(self) -> None:
        """Wait for nothing any more."""
        self._answer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TURN, self._turn_over)

    def _turn_over(self) -> None:
        self._timer = None
        if self._answer is None or self._answer.done():
            return
        # The turn in which it began may not have been a whole one: it does not count.
        self._turns += 1
        if self.is_over:
            self._late()
        else:
            self._arm()
