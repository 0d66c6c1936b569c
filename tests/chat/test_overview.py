"""One answer of many nodes: sums, the newest, the busiest, the worst; and whom it lacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from hubbub.chat import merging
from hubbub.chat.merging import TOP
from hubbub.chat.monitoring import Monitoring
from hubbub.chat.overview import Overview
from hubbub.cluster.reports import Event, Figures, Finding, Report
from hubbub.contract.errors import Code, RequestError
from hubbub.contract.requests import ConnectionEvents
from hubbub.contract.values import ConnectionEventType, HealthStatus, iso
from tests.chat.fakes import connection
from tests.chat.overviews import FakeNodes, Peers, overview_of

ADMIN = connection("root", role="admin")
ALL = ConnectionEvents(limit=1000)
NAMES = ("a", "b", "c")

FEW = st.integers(0, 20)
COUNTS = st.dictionaries(st.sampled_from([f"x{number}" for number in range(20)]), st.integers(1, 5))


@st.composite
def reports(draw: st.DrawFn) -> list[Report]:
    """What some nodes report."""
    names = draw(st.lists(st.sampled_from("abcde"), min_size=1, unique=True))
    return [draw(_report(name)) for name in names]


def _report(node: str) -> st.SearchStrategy[Report]:
    event = st.builds(
        Event,
        type=st.sampled_from(ConnectionEventType),
        socket_id=st.uuids().map(str),
        user_id=st.none(),
        address=st.just("x"),
        user_agent=st.just("y"),
        at=FEW,
        details=st.just({}),
    )
    return st.builds(
        Report,
        node=st.just(node),
        host=st.just(""),
        pid=st.just(0),
        figures=st.builds(Figures, **dict.fromkeys(Figures.__struct_fields__, FEW)),
        events=st.lists(event, max_size=5).map(lambda found: sorted(found, key=lambda one: one.at)),
        addresses=COUNTS,
        agents=COUNTS,
        findings=st.lists(
            st.builds(
                Finding,
                status=st.sampled_from([HealthStatus.WARNING, HealthStatus.CRITICAL]),
                issue=st.sampled_from("pq"),
                advice=st.just("r"),
            ),
            max_size=3,
        ),
    )


def merged(found: list[Report]) -> tuple[object, ...]:
    """Everything that is made of reports."""
    return (
        merging.metrics(found),
        merging.error_rate(one.figures for one in found),
        merging.events(found, 7),
        merging.addresses(found),
        merging.agents(found),
        merging.health(found, ["m", "k"]),
    )


@given(found=reports(), data=st.data())
def test_the_order_of_reports_makes_no_difference(found: list[Report], data: st.DataObject) -> None:
    """They come as the network likes."""
    assert merged(data.draw(st.permutations(found))) == merged(found)


@given(found=reports())
def test_nothing_is_lost_or_counted_twice(found: list[Report]) -> None:
    """Sums are sums, the newest events are all newer than those left out, the busiest are the busiest."""
    figures = merging.metrics(found)
    assert figures.total_connections == sum(one.figures.total for one in found)
    assert figures.peak_connections == sum(one.figures.peak for one in found)
    assert figures.last_reset == iso(min(one.figures.since for one in found))
    events = [event for one in found for event in one.events]
    told = [event.timestamp for event in merging.events(found, 7)]
    assert told == sorted(iso(event.at) for event in events)[-7:]
    counts = sorted((sum(one.addresses.get(f"x{n}", 0) for one in found) for n in range(20)), reverse=True)
    assert [row.count for row in merging.addresses(found)] == [count for count in counts if count][:TOP]


def figures(**fields: int) -> Figures:
    """Those that are given, and nothing else."""
    return Figures(**{**dict.fromkeys(Figures.__struct_fields__, 0), **fields})


def report(node: str, findings: list[Finding] | None = None, **fields: int) -> Report:
    """Of a node with these figures."""
    return Report(node=node, host="", pid=0, figures=figures(**fields), findings=findings or [])


def test_an_average_weighs() -> None:
    """It is that of all connections, not of the nodes' averages; so is the error rate of all attempts."""
    found = [
        report("a", ended=1, ended_ms=10_000, attempts=1, failures=1),
        report("b", ended=3, ended_ms=8_000, attempts=3),
        report("c"),
    ]
    assert merging.metrics(found).average_connection_duration == 4500
    assert merging.error_rate(one.figures for one in found) == 0.25
    assert merging.metrics([report("a")]).average_connection_duration == 0
    assert merging.error_rate([]) == 0.0


def test_the_worst_decides_and_is_named() -> None:
    """Critical before warning, each with its node; a node that does not answer is a warning. One that is
    alone need not be named.
    """
    slow = Finding(status=HealthStatus.WARNING, issue="slow", advice="hurry")
    down = Finding(status=HealthStatus.CRITICAL, issue="down", advice="up")
    health = merging.health([report("a", [slow]), report("b", [slow, down])], ["c"])
    assert health.status == "critical"
    assert health.issues == ["Node b: down", "Node a: slow", "Node b: slow", "Node c does not answer"]
    assert health.recommendations[:3] == ["Node b: up", "Node a: hurry", "Node b: hurry"]
    assert "node c" in health.recommendations[3]
    assert merging.health([report("a"), report("b")], []).status == "healthy"
    assert merging.health([report("a")], ["b"]).status == "warning"
    assert merging.health([report("a", [slow])], []).issues == ["slow"]


@pytest.fixture
def peers() -> Peers:
    """Three nodes; on each, a user named after it has connected."""
    return Peers()


@pytest.fixture
def overviews(peers: Peers) -> list[Overview]:
    """What each of them answers; the last has a backlog."""
    found = []
    for name in NAMES:
        monitoring = Monitoring()
        monitoring.connected(connection(f"user {name}"), "websocket")
        backlog = 1e12 if name == "c" else 0.0
        found.append(overview_of(monitoring, FakeNodes(name, peers), backlog=backlog))
    return found


async def test_every_node_answers_for_all(overviews: list[Overview]) -> None:
    """The same, whichever is asked."""
    for overview in overviews:
        answer = await overview.metrics()
        assert (answer.metrics.active_connections, answer.missing_nodes) == (3, UNSET)
        events = (await overview.events(ADMIN, ALL)).events
        assert sorted(str(event.user_id) for event in events) == [f"user {name}" for name in NAMES]
        (issue,) = (await overview.health()).health.issues
        assert issue.startswith("Node c: ")
        assert [row.node for row in (await overview.list()).nodes] == list(NAMES)


async def test_others_than_admins_see_their_own_events_of_any_node(overviews: list[Overview]) -> None:
    """And nothing else, nor addresses and clients."""
    who = connection("user b")
    for overview in overviews:
        assert [event.user_id for event in (await overview.events(who, ALL)).events] == ["user b"]
        for user_id in ("user a", "user c"):
            assert (await overview.events(who, ConnectionEvents(user_id=user_id))).events == []
        stats = (await overview.stats(who)).stats
        assert [event.user_id for event in stats.recent_events] == ["user b"]
        assert (stats.top_ips, stats.top_user_agents) == ([], [])
        assert sum(row.count for row in (await overview.stats(ADMIN)).stats.top_ips) == 3


async def test_one_node(overviews: list[Overview]) -> None:
    """Whichever is asked answers for the one that is named, and that one needs no other name."""
    for overview in overviews:
        for name in NAMES:
            (event,) = (await overview.events(ADMIN, ConnectionEvents(node=name))).events
            assert event.user_id == f"user {name}"
            assert (await overview.metrics(name)).metrics.total_connections == 1
            assert len((await overview.stats(ADMIN, name)).stats.recent_events) == 1
        (issue,) = (await overview.health("c")).health.issues
        assert not issue.startswith("Node")


async def test_an_unknown_node(overviews: list[Overview]) -> None:
    """Is refused with the names there are."""
    with pytest.raises(RequestError) as refused:
        await overviews[0].metrics("nobody")
    assert refused.value.code == Code.NOT_FOUND
    assert [one.problem for one in refused.value.details or []] == ["must be one of a, b, c"]


async def test_a_silent_node(overviews: list[Overview], peers: Peers) -> None:
    """Answers cover the others and say so; asked for alone, there is no answer."""
    peers.silent = {"b"}
    answer = await overviews[0].metrics()
    assert (answer.metrics.active_connections, answer.missing_nodes) == (2, ["b"])
    assert (await overviews[0].events(ADMIN, ALL)).missing_nodes == ["b"]
    assert (await overviews[0].stats(ADMIN)).missing_nodes == ["b"]
    health = await overviews[0].health()
    assert (health.health.status, health.missing_nodes) == ("critical", ["b"])
    assert "Node b does not answer" in health.health.issues
    assert (await overviews[0].list()).missing_nodes == ["b"]
    with pytest.raises(RequestError) as refused:
        await overviews[0].metrics("b")
    assert refused.value.code == Code.UNAVAILABLE
