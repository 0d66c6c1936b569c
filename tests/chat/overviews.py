"""What answers for all nodes, with nodes that are there without any bus between them."""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

from hubbub.chat.health import Health, Probes, Thresholds
from hubbub.chat.monitoring import Monitoring
from hubbub.chat.overview import Here, Overview
from hubbub.cluster.base import Nodes
from hubbub.cluster.local import LocalNodes
from hubbub.cluster.reports import Question, Report

Answering = Callable[[Question], Awaitable[Report]]


class Peers:
    """All nodes of a server; those in `silent` do not answer."""

    def __init__(self) -> None:
        self.answering: dict[str, Answering] = {}
        self.silent: set[str] = set()


class FakeNodes:
    """What one of them sees of the others."""

    def __init__(self, name: str, peers: Peers) -> None:
        self.name = name
        self._peers = peers

    async def names(self) -> list[str]:
        """All, silent or not."""
        return sorted(self._peers.answering)

    async def ask(self, question: Question, names: AbstractSet[str]) -> list[Report]:
        """What they report."""
        assert self.name not in names
        return [await self._peers.answering[name](question) for name in names - self._peers.silent]

    def answer_with(self, report: Answering) -> None:
        """Become one of them."""
        self._peers.answering[self.name] = report


async def _answers() -> None:
    """A database that does."""


def health_of(backlog: float = 0.0) -> Health:
    """The judge of a node with which nothing else is wrong."""

    def nothing() -> float:
        return 0.0

    probes = Probes(
        error_rate=nothing,
        loop_lag=nothing,
        check_database=_answers,
        bus_silence=nothing,
        memory=nothing,
        backlog=lambda: backlog,
    )
    return Health(probes, Thresholds())


def overview_of(
    monitoring: Monitoring,
    nodes: Nodes | None = None,
    *,
    open_access: bool = False,
    backlog: float = 0.0,
) -> Overview:
    """What one node answers; it is alone unless `nodes` are given."""
    here = Here("host.example", 4711)
    return Overview(monitoring, health_of(backlog), nodes or LocalNodes(), here, open_access=open_access)
