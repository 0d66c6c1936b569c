"""Expiry: sockets whose token ended are disconnected after a grace time, by one timer for all of them."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from hubbub.gateway.clients import Client

_TICK: Final = 1.0


class Expiry:
    """Watches when tokens end. `grace` is in seconds; `ended` is called when a client's is over too."""

    def __init__(self, grace: float, ended: Callable[[Client], None]) -> None:
        self._grace = grace
        self._ended = ended
        # Clients by the second after which their grace is over; a client that refreshed its token stands in a
        # later one besides.
        self._due: dict[int, set[Client]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, client: Client) -> None:
        """Watch a client's token, or its new one."""
        self._due.setdefault(self._second(client), set()).add(client)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def forget(self, client: Client) -> None:
        """Watch no more."""
        second = self._second(client)
        waiting = self._due.get(second)
        if waiting is not None:
            waiting.discard(client)
            if not waiting:
                del self._due[second]

    def _second(self, client: Client) -> int:
        return int(client.expires_at / 1000 + self._grace) + 1

    def _tick(self) -> None:
        self._timer = None
        now = int(time.time())
        for second in [one for one in self._due if one <= now]:
            for client in self._due.pop(second):
                self._ended(client)
        if self._due:
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
