"""Monitoring: what happened to connections of this node, and figures of it (contract, section 7).

An attempt is a CONNECT to `/chat`, accepted or refused, or a handshake that was refused before. A refused
attempt is recorded as `error`, `rate_limit` or `auth_failure`, an accepted one as `connect`, and its end as
`disconnect`. What is asked for over all nodes is put together in `overview.py`.
"""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from hubbub.chat.tally import Tally
from hubbub.cluster.base import Connection
from hubbub.cluster.reports import LONGEST_TEXT, MOST_COUNTED, Event, Figures, Question
from hubbub.contract.values import ConnectionEventType, now

Details: TypeAlias = Mapping[str, str | int | float | bool | None]

EVENTS_KEPT: Final = 10_000
MINUTE: Final = 60
ERROR_WINDOW: Final = 900
FEW_ATTEMPTS: Final = 10


class Monitoring:
    """Records connection events and counts them. `clock` gives seconds and never goes back."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._since = now()

        # Sums since then.
        self._total = 0
        self._active = 0
        self._peak = 0
        self._failed = 0
        self._ended = 0
        self._ended_ms = 0

        # Counts of late.
        self._connects = Tally(MINUTE, clock)
        self._attempts = Tally(ERROR_WINDOW, clock)
        self._failures = Tally(ERROR_WINDOW, clock)

    # What is recorded.

    def connected(self, who: Connection, transport: str) -> None:
        """Record that a socket was let in."""
        self._record_of(ConnectionEventType.CONNECT, who, {"transport": transport})

    def disconnected(self, who: Connection, reason: str, transport: str) -> None:
        """Record that a socket which had been let in has gone."""
        duration = max(0, now() - who.connected_at)
        details: Details = {"reason": reason, "durationMs": duration, "transport": transport}
        self._record_of(ConnectionEventType.DISCONNECT, who, details)

    def _record_of(self, kind: ConnectionEventType, who: Connection, details: Details) -> None:
        self.record(
            kind,
            socket_id=who.socket_id,
            user_id=who.user_id,
            address=who.address,
            user_agent=who.user_agent,
            details=details,
        )

    def record(
        self,
        kind: ConnectionEventType,
        *,
        socket_id: str | None,
        user_id: str | None,
        address: str,
        user_agent: str,
        details: Details,
    ) -> None:
        """Record an event: a refused attempt; see the methods above for the others."""
        self._count(kind, details)
        self._events.append(
            Event(
                type=kind,
                socket_id=socket_id,
                user_id=user_id,
                address=_plain(address),
                user_agent=_plain(user_agent),
                at=now(),
                details={
                    name: _plain(value) if isinstance(value, str) else value
                    for name, value in details.items()
                },
            )
        )

    def _count(self, kind: ConnectionEventType, details: Details) -> None:
        if kind is ConnectionEventType.DISCONNECT:
            duration = details.get("durationMs")
            self._active -= 1
            self._ended += 1
            self._ended_ms += duration if isinstance(duration, int) else 0
            return
        self._attempts.add()
        if kind is ConnectionEventType.CONNECT:
            self._total += 1
            self._active += 1
            self._peak = max(self._peak, self._active)
            self._connects.add()
        else:
            self._failed += 1
            self._failures.add()

    # What is asked.

    def significant_error_rate(self) -> float:
        """Return the share of failed attempts in the last 15 minutes, for judging health: 0 to 1, and 0 while
        there were too few attempts to tell.
        """
        attempts = self._attempts.total()
        return self._failures.total() / attempts if attempts >= FEW_ATTEMPTS else 0.0

    def figures(self) -> Figures:
        """Return the connection figures."""
        return Figures(
            total=self._total,
            active=self._active,
            peak=self._peak,
            failed=self._failed,
            ended=self._ended,
            ended_ms=self._ended_ms,
            per_minute=self._connects.total(),
            attempts=self._attempts.total(),
            failures=self._failures.total(),
            since=self._since,
        )

    def events(self, question: Question) -> list[Event]:
        """Return the newest events that match, oldest first."""
        request = question.events
        if request is None:
            return []
        found = list(self._events)
        for user_id in (question.only_of, request.user_id):
            if user_id is not None:
                found = [event for event in found if event.user_id == user_id]
        if request.type is not None:
            found = [event for event in found if event.type is request.type]
        if request.ip is not None:
            found = [event for event in found if event.address == request.ip]
        return found[-request.limit :]

    def busiest(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the addresses and the clients with the most attempts among the events, and how many."""
        attempts = [event for event in self._events if event.type is not ConnectionEventType.DISCONNECT]
        addresses = Counter(event.address for event in attempts)
        agents = Counter(event.user_agent for event in attempts)
        return dict(addresses.most_common(MOST_COUNTED)), dict(agents.most_common(MOST_COUNTED))


def _plain(text: str) -> str:
    """Return text from outside as it may be shown: printable, not too long; in memory only once."""
    text = text[:LONGEST_TEXT]
    if not text.isprintable():
        text = "".join(
            character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
        )
    return sys.intern(text)
