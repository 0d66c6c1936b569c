"""Monitoring over all nodes: each reports of itself, and what they report is made one answer.

    asked here -> own report, and beside it those of the others -> merging -> the answer, and who is missing

A node that does not report in time is named in the answer; nobody waits for it.
"""

import asyncio
from typing import Final, NamedTuple

from msgspec import UNSET, UnsetType

from hubbub.chat import access, merging
from hubbub.chat.access import Actor
from hubbub.chat.health import Health
from hubbub.chat.monitoring import Monitoring
from hubbub.cluster.base import Nodes
from hubbub.cluster.reports import Question, Report
from hubbub.contract import answers, errors, objects, rest
from hubbub.contract.requests import ConnectionEvents
from hubbub.contract.values import iso

RECENT: Final = 50

PATIENCE: Final = 0.6
"""Seconds that another node's question waits for the database: its asker has little more."""


class Here(NamedTuple):
    """Which process on which machine this node is."""

    host: str
    pid: int


class _Gathered(NamedTuple):
    """What nodes reported, and who did not; both are never empty at the same time."""

    reports: list[Report]
    missing: list[str]

    @property
    def told(self) -> list[str] | UnsetType:
        """The missing as an answer tells of them."""
        return self.missing or UNSET


class Overview:
    """Answers what is asked of the whole server, or of the one `node` that is named.

    With `open_access` everybody sees what admins see. Unknown nodes and those that do not answer are refused
    when named.
    """

    def __init__(
        self, monitoring: Monitoring, health: Health, nodes: Nodes, here: Here, *, open_access: bool = False
    ) -> None:
        self._monitoring = monitoring
        self._health = health
        self._nodes = nodes
        self._here = here
        self._open_access = open_access
        nodes.answer_with(self._report_quickly)

    # What is asked.

    async def metrics(self, node: str | None = None) -> answers.Metrics:
        """Return the connection figures."""
        found = await self._gather(Question(), node)
        return answers.Metrics(metrics=merging.metrics(found.reports), missing_nodes=found.told)

    async def events(self, who: Actor, request: ConnectionEvents) -> answers.ConnectionEvents:
        """Return the newest events that match, oldest first; others than admins see their own only."""
        question = Question(events=request, only_of=self._only_of(who))
        found = await self._gather(question, request.node)
        return answers.ConnectionEvents(
            events=merging.events(found.reports, request.limit), missing_nodes=found.told
        )

    async def stats(self, who: Actor, node: str | None = None) -> answers.MonitoringStats:
        """Return the figures, the newest events and, to admins, the busiest addresses and clients."""
        only_of = self._only_of(who)
        question = Question(events=ConnectionEvents(limit=RECENT), only_of=only_of, busiest=only_of is None)
        reports, _ = found = await self._gather(question, node)
        return answers.MonitoringStats(
            stats=objects.MonitoringStats(
                metrics=merging.metrics(reports),
                recent_events=merging.events(reports, RECENT),
                top_ips=merging.addresses(reports),
                top_user_agents=merging.agents(reports),
                error_rate=merging.error_rate(report.figures for report in reports),
            ),
            missing_nodes=found.told,
        )

    async def health(self, node: str | None = None) -> answers.Health:
        """Judge."""
        found = await self._gather(Question(health=True), node)
        return answers.Health(health=merging.health(found.reports, found.missing), missing_nodes=found.told)

    async def list(self) -> rest.NodeList:
        """Return the nodes there are."""
        found = await self._gather(Question(), None)
        rows = [
            rest.Node(
                node=report.node,
                host=report.host,
                pid=report.pid,
                started_at=iso(report.figures.since),
                active_connections=report.figures.active,
            )
            for report in sorted(found.reports, key=lambda one: one.node)
        ]
        return rest.NodeList(nodes=rows, missing_nodes=found.told)

    def _only_of(self, who: Actor) -> str | None:
        """Whose events alone somebody may see; None for everybody's."""
        return None if access.sees_details(who, None, open_to_all=self._open_access) else who.user_id

    # Reports.

    async def _gather(self, question: Question, node: str | None) -> _Gathered:
        """Have all nodes report, or the one that is named. Raises `RequestError` only for that one."""
        own = self._nodes.name
        names = await self._nodes.names()
        if node is not None:
            if node not in names:
                raise errors.node_not_found(names)
            names = [node]
        others = {name for name in names if name != own}
        if not others:
            return _Gathered([await self._report(question)], [])
        asking = self._nodes.ask(question, others)
        if own in names:
            mine, reports = await asyncio.gather(self._report(question), asking)
            reports = [mine, *reports]
        else:
            reports = await asking
        if not reports:
            raise errors.node_silent()
        return _Gathered(reports, sorted(others - {report.node for report in reports}))

    async def _report_quickly(self, question: Question) -> Report:
        return await self._report(question, PATIENCE)

    async def _report(self, question: Question, patience: float | None = None) -> Report:
        """Report of this node."""
        addresses, agents = self._monitoring.busiest() if question.busiest else ({}, {})
        return Report(
            node=self._nodes.name,
            host=self._here.host,
            pid=self._here.pid,
            findings=await self._health.judge(patience) if question.health else [],
            figures=self._monitoring.figures(),
            events=self._monitoring.events(question),
            addresses=addresses,
            agents=agents,
        )
