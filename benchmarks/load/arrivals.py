"""Clients coming in: on WebSocket at once, or on long-polling first as the stock client does."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.load.client import CONNECT, Client, LoadError
from benchmarks.load.plan import Endpoint
from benchmarks.load.switchboard import Switchboard

NOOP = b"6"
"""Of Engine.IO: it frees a poll that waits, and some servers also send it behind an upgrade."""


class Newcomer(Client):
    """A client that calls `welcome` when it is let in, and counts what it is told then."""

    __slots__ = ("heard", "welcome", "welcomed")

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        auth: Mapping[str, object],
        welcome: Callable[[], None],
        sid: str = "",
    ) -> None:
        super().__init__(number, endpoint, auth, sid)
        self.welcome = welcome
        self.welcomed = 0
        self.heard = 0

    def packet(self, payload: bytes) -> None:
        """Act on the answer to CONNECT; count events."""
        if payload.startswith(CONNECT):
            self.once()
            self.welcome()
        elif payload.startswith(b"42/chat,"):
            self.heard += 1
        elif payload != NOOP:
            raise self.unexpected(payload)

    def once(self) -> None:
        """Let in, once and no more."""
        self.welcomed += 1
        if self.welcomed > 1:
            raise LoadError(f"client {self.number} was let in twice")


@dataclass(slots=True)
class Arrivals:
    """Clients of one server, so many on their way in at a time.

    `make(number, welcome)` begins a client; it puts itself on the switchboard.
    """

    count: int
    in_flight: int
    make: Callable[[int, Callable[[], None]], None]
    switchboard: Switchboard
    begun: int = 0
    welcomed: int = 0
    last_at: float = 0.0
    """When the last one was let in (monotonic)."""

    def run(self, seconds: float) -> None:
        """Until all are in. Raises LoadError when they are not after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.welcomed < self.count:
            if self.begun < min(self.count, self.welcomed + self.in_flight):
                self.begun += 1
                self.make(self.begun - 1, self._welcome)
                self.switchboard.turn(0)
            else:
                self.switchboard.turn(0.01)
            if time.monotonic() > deadline:
                raise LoadError(f"only {self.welcomed} of {self.count} clients were let in in time")

    def _welcome(self) -> None:
        self.welcomed += 1
        self.last_at = time.monotonic()


def fall_silent(switchboard: Switchboard, heard: Callable[[], int], silence: float, most: float) -> bool:
    """Wait, `most` seconds at most, until nothing but heartbeats came for `silence` seconds; whether so."""
    deadline = time.monotonic() + most
    while time.monotonic() < deadline:
        before = heard()
        switchboard.run(lambda: False, silence)
        if heard() == before:
            return True
    return False
