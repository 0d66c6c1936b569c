"""What several nodes report of themselves, made one answer, whatever the order in which reports come."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hubbub.cluster.reports import Event, Figures, Report
from hubbub.contract import objects
from hubbub.contract.values import HealthStatus, iso

TOP: Final = 10

_SEVERITY: Final = (HealthStatus.CRITICAL, HealthStatus.WARNING, HealthStatus.HEALTHY)
_SILENT: Final = (
    "Node {0} does not answer",
    "See whether the process of node {0} runs and reaches Valkey: its users may be failed now.",
)


def metrics(reports: Sequence[Report]) -> objects.Metrics:
    """Return the figures of all together; at least one report is needed.

    The peak is the sum of the peaks: never below the true one, above it when nodes had theirs at different
    times.
    """
    every = [report.figures for report in reports]
    ended = sum(one.ended for one in every)
    return objects.Metrics(
        total_connections=sum(one.total for one in every),
        active_connections=sum(one.active for one in every),
        failed_connections=sum(one.failed for one in every),
        average_connection_duration=sum(one.ended_ms for one in every) // ended if ended else 0,
        peak_connections=sum(one.peak for one in every),
        connections_per_minute=sum(one.per_minute for one in every),
        last_reset=iso(min(one.since for one in every)),
    )


def error_rate(every: Iterable[Figures]) -> float:
    """Return the share of failed attempts: 0 to 1, and 0 when there were none."""
    attempts = failures = 0
    for one in every:
        attempts += one.attempts
        failures += one.failures
    return round(failures / attempts, 4) if attempts else 0.0


def events(reports: Iterable[Report], limit: int) -> list[objects.ConnectionEvent]:
    """Return the newest events of all, oldest first; those of one moment and node in their order there."""
    found = [
        (event.at, report.node, place, event)
        for report in reports
        for place, event in enumerate(report.events)
    ]
    found.sort(key=lambda one: one[:3])
    return [_wire(event) for *_, event in found[-limit:]]


def _wire(event: Event) -> objects.ConnectionEvent:
    return objects.ConnectionEvent(
        type=event.type.value,
        socket_id=event.socket_id,
        user_id=event.user_id,
        ip_address=event.address,
        user_agent=event.user_agent,
        timestamp=iso(event.at),
        details=dict(event.details),
    )


def addresses(reports: Iterable[Report]) -> list[objects.AddressCount]:
    """Return the busiest addresses."""
    return [objects.AddressCount(ip=ip, count=count) for ip, count in _top(one.addresses for one in reports)]


def agents(reports: Iterable[Report]) -> list[objects.AgentCount]:
    """Return the busiest clients."""
    return [
        objects.AgentCount(user_agent=agent, count=count)
        for agent, count in _top(one.agents for one in reports)
    ]


def _top(every: Iterable[Mapping[str, int]]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for one in every:
        counts.update(one)
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:TOP]


def health(reports: Sequence[Report], missing: Iterable[str]) -> objects.Health:
    """Return the worst status, and what is wrong, the worst first; with several nodes it says where."""
    silent = sorted(missing)
    named = len(reports) + len(silent) > 1
    rows: list[tuple[int, str, int, str, str]] = []
    for report in reports:
        prefix = f"Node {report.node}: " if named else ""
        rows += [
            (_SEVERITY.index(one.status), report.node, place, prefix + one.issue, prefix + one.advice)
            for place, one in enumerate(report.findings)
        ]
    warning = _SEVERITY.index(HealthStatus.WARNING)
    for node in silent:
        issue, advice = (text.format(node) for text in _SILENT)
        rows.append((warning, node, 0, issue, advice))
    rows.sort()
    worst = rows[0][0] if rows else _SEVERITY.index(HealthStatus.HEALTHY)
    return objects.Health(
        status=_SEVERITY[worst].value,
        issues=[issue for *_, issue, _ in rows],
        recommendations=[advice for *_, advice in rows],
    )
