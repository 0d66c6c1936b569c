"""Monitoring: what happened to connections, and figures of it (contract, section 7).

An attempt is a CONNECT to `/chat`, accepted or refused, or a handshake that was refused before. A refused
attempt is recorded as `error`, `rate_limit` or `auth_failure`, an accepted one as `connect`, and its end as
`disconnect`.
"""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from hubbub.chat import access
from hubbub.chat.tally import Tally
from hubbub.cluster.base import Connection
from hubbub.contract import answers, objects
from hubbub.contract.requests import ConnectionEvents
from hubbub.contract.values import ConnectionEventType, iso, now

Details: TypeAlias = Mapping[str, str | int | float | bool | None]

EVENTS_KEPT: Final = 10_000
LONGEST_TEXT: Final = 256
RECENT: Final = 50
TOP: Final = 10
MINUTE: Final = 60
ERROR_WINDOW: Final = 900
FEW_ATTEMPTS: Final = 10


class _Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event as it is kept: by the thousand, so the wire form is made when somebody asks."""

    type: ConnectionEventType
    socket_id: str | None
    user_id: str | None
    address: str
    user_agent: str
    at: int
    details: Details


class Monitoring:
    """Records connection events and counts them. With `open_access` everybody sees what admins see.

    `clock` gives seconds and never goes back.
    """

    def __init__(self, *, open_access: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._open_access = open_access
        self._events: deque[_Recorded] = deque(maxlen=EVENTS_KEPT)
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
            _Recorded(
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

    def error_rate(self) -> float:
        """Return the share of failed attempts in the last 15 minutes: 0 to 1, and 0 when there were none."""
        attempts = self._attempts.total()
        return self._failures.total() / attempts if attempts else 0.0

    def significant_error_rate(self) -> float:
        """Return the error rate, for judging health: 0 while there were too few attempts to tell."""
        return self.error_rate() if self._attempts.total() >= FEW_ATTEMPTS else 0.0

    def figures(self) -> objects.Metrics:
        """Return the connection figures."""
        return objects.Metrics(
            total_connections=self._total,
            active_connections=self._active,
            failed_connections=self._failed,
            average_connection_duration=self._ended_ms // self._ended if self._ended else 0,
            peak_connections=self._peak,
            connections_per_minute=self._connects.total(),
            last_reset=iso(self._since),
        )

    def metrics(self) -> answers.Metrics:
        """Return the connection figures, for `monitoring:metrics`."""
        return answers.Metrics(metrics=self.figures())

    def events(self, who: Connection, request: ConnectionEvents) -> answers.ConnectionEvents:
        """Return the newest events that match, oldest first; others than admins see their own only."""
        return answers.ConnectionEvents(events=self._newest(who, request))

    def stats(self, who: Connection) -> answers.MonitoringStats:
        """Return the figures, the newest events and the busiest addresses and clients."""
        attempts: Iterable[_Recorded] = ()
        if self._sees_all(who):
            attempts = [event for event in self._events if event.type is not ConnectionEventType.DISCONNECT]
        ips = Counter(event.address for event in attempts)
        agents = Counter(event.user_agent for event in attempts)
        return answers.MonitoringStats(
            stats=objects.MonitoringStats(
                metrics=self.figures(),
                recent_events=self._newest(who, ConnectionEvents(limit=RECENT)),
                top_ips=[objects.AddressCount(ip=ip, count=count) for ip, count in ips.most_common(TOP)],
                top_user_agents=[
                    objects.AgentCount(user_agent=agent, count=count)
                    for agent, count in agents.most_common(TOP)
                ],
                error_rate=round(self.error_rate(), 4),
            )
        )

    def _sees_all(self, who: Connection) -> bool:
        return access.sees_details(who, None, open_to_all=self._open_access)

    def _newest(self, who: Connection, request: ConnectionEvents) -> list[objects.ConnectionEvent]:
        found = list(self._events)
        if not self._sees_all(who):
            found = [event for event in found if event.user_id == who.user_id]
        if request.user_id is not None:
            found = [event for event in found if event.user_id == request.user_id]
        if request.type is not None:
            found = [event for event in found if event.type is request.type]
        if request.ip is not None:
            found = [event for event in found if event.address == request.ip]
        return [_wire(event) for event in found[-request.limit :]]


def _wire(event: _Recorded) -> objects.ConnectionEvent:
    return objects.ConnectionEvent(
        type=event.type.value,
        socket_id=event.socket_id,
        user_id=event.user_id,
        ip_address=event.address,
        user_agent=event.user_agent,
        timestamp=iso(event.at),
        details=dict(event.details),
    )


def _plain(text: str) -> str:
    """Return text from outside as it may be shown: printable, not too long; in memory only once."""
    text = text[:LONGEST_TEXT]
    if not text.isprintable():
        text = "".join(
            character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
        )
    return sys.intern(text)
