"""Monitoring: what is recorded of connections, who sees it, and the figures."""

import pytest

from hubbub.chat.merging import TOP
from hubbub.chat.monitoring import EVENTS_KEPT, FEW_ATTEMPTS, Monitoring
from hubbub.chat.overview import RECENT
from hubbub.cluster.base import Connection
from hubbub.cluster.reports import LONGEST_TEXT
from hubbub.contract import objects
from hubbub.contract.requests import ConnectionEvents
from hubbub.contract.values import ConnectionEventType, now
from tests.chat.fakes import FakeClock, connection
from tests.chat.overviews import overview_of

ALL = ConnectionEvents(limit=1000)
ADMIN = connection("root", role="admin")


@pytest.fixture
def clock() -> FakeClock:
    """The time of the figures of late."""
    return FakeClock()


@pytest.fixture
def monitoring(clock: FakeClock) -> Monitoring:
    """With nothing recorded yet."""
    return Monitoring(clock=clock)


def fail(
    monitoring: Monitoring,
    kind: ConnectionEventType = ConnectionEventType.AUTH_FAILURE,
    address: str = "198.51.100.1",
    agent: str = "agent",
) -> None:
    """Record an attempt that was refused."""
    monitoring.record(
        kind,
        socket_id=None,
        user_id=None,
        address=address,
        user_agent=agent,
        details={"code": "INVALID_TOKEN"},
    )


async def events(
    monitoring: Monitoring, who: Connection, request: ConnectionEvents = ALL
) -> list[objects.ConnectionEvent]:
    """What somebody sees."""
    return (await overview_of(monitoring).events(who, request)).events


async def kinds(monitoring: Monitoring, who: Connection, request: ConnectionEvents = ALL) -> list[str]:
    """The kinds of what somebody sees."""
    return [event.type for event in await events(monitoring, who, request)]


async def figures_of(monitoring: Monitoring) -> objects.Metrics:
    """The figures."""
    return (await overview_of(monitoring).metrics()).metrics


async def stats_of(monitoring: Monitoring, who: Connection) -> objects.MonitoringStats:
    """The figures, events and the busiest."""
    return (await overview_of(monitoring).stats(who)).stats


async def test_a_connection_is_recorded_from_beginning_to_end(monitoring: Monitoring) -> None:
    """Both events name the socket, the user and where it came from; the end says why and after how long."""
    who = connection("ada", connected_at=now() - 5000)
    monitoring.connected(who, "polling")
    monitoring.disconnected(who, "transport close", "websocket")
    begun, ended = await events(monitoring, ADMIN)
    assert (begun.type, begun.details) == ("connect", {"transport": "polling"})
    for event in (begun, ended):
        assert (event.socket_id, event.user_id) == (who.socket_id, "ada")
        assert (event.ip_address, event.user_agent) == (who.address, who.user_agent)
        assert event.timestamp.endswith("Z")
    assert ended.type == "disconnect"
    assert (ended.details["reason"], ended.details["transport"]) == ("transport close", "websocket")
    duration = ended.details["durationMs"]
    assert isinstance(duration, int)
    assert 5000 <= duration < 10_000


async def test_the_figures_add_up(monitoring: Monitoring, clock: FakeClock) -> None:
    """Total, active, failed, peak and average, as the events say."""
    start = now()
    people = [connection(f"user {number}", connected_at=start - 1000 * number) for number in range(1, 5)]
    assert (await figures_of(monitoring)).average_connection_duration == 0
    for who in people:
        monitoring.connected(who, "websocket")
    for who in people[:3]:
        monitoring.disconnected(who, "transport close", "websocket")
    monitoring.connected(connection("late"), "websocket")
    fail(monitoring)
    figures = await figures_of(monitoring)
    assert (figures.total_connections, figures.active_connections) == (5, 2)
    assert (figures.failed_connections, figures.peak_connections) == (1, 4)
    assert figures.connections_per_minute == 5
    assert 2000 <= figures.average_connection_duration < 7000
    clock.advance(61.0)
    assert (await figures_of(monitoring)).connections_per_minute == 0
    assert (await figures_of(monitoring)).last_reset == figures.last_reset


async def test_the_error_rate_is_of_the_last_quarter_of_an_hour(
    monitoring: Monitoring, clock: FakeClock
) -> None:
    """Failed over all attempts; ends of connections are no attempts, and nothing at all is no error."""
    assert (await stats_of(monitoring, ADMIN)).error_rate == 0.0
    who = connection("ada")
    for _ in range(3):
        monitoring.connected(who, "websocket")
        monitoring.disconnected(who, "transport close", "websocket")
    fail(monitoring, ConnectionEventType.RATE_LIMIT)
    assert (await stats_of(monitoring, ADMIN)).error_rate == 0.25
    clock.advance(600.0)
    for kind in (ConnectionEventType.ERROR, ConnectionEventType.AUTH_FAILURE):
        fail(monitoring, kind)
    assert (await stats_of(monitoring, who)).error_rate == 0.5
    clock.advance(310.0)
    assert (await stats_of(monitoring, ADMIN)).error_rate == 1.0
    clock.advance(900.0)
    assert (await stats_of(monitoring, ADMIN)).error_rate == 0.0


def test_a_few_wrong_tokens_are_no_trouble_of_the_server(monitoring: Monitoring) -> None:
    """For judging health the error rate counts from ten attempts on."""
    for _ in range(FEW_ATTEMPTS - 1):
        fail(monitoring)
    assert monitoring.significant_error_rate() == 0.0
    fail(monitoring)
    assert monitoring.significant_error_rate() == 1.0


async def test_others_than_admins_see_their_own_events_only(monitoring: Monitoring) -> None:
    """Whatever they ask for, nothing of others, and no busiest addresses and clients."""
    ada, bob = connection("ada"), connection("bob")
    for who in (ada, bob, ada):
        monitoring.connected(who, "websocket")
    fail(monitoring)
    assert await kinds(monitoring, ADMIN) == ["connect"] * 3 + ["auth_failure"]
    assert await kinds(monitoring, ada) == ["connect"] * 2
    assert await kinds(monitoring, ada, ConnectionEvents(user_id="bob")) == []
    stats = await stats_of(monitoring, ada)
    assert (stats.top_ips, stats.top_user_agents) == ([], [])
    assert [event.user_id for event in stats.recent_events] == ["ada", "ada"]


async def test_access_may_be_open_to_everybody(clock: FakeClock) -> None:
    """The setting lifts both restrictions."""
    monitoring = Monitoring(clock=clock)
    monitoring.connected(connection("bob"), "websocket")
    overview, ada = overview_of(monitoring, open_access=True), connection("ada")
    assert [event.user_id for event in (await overview.events(ada, ALL)).events] == ["bob"]
    assert [row.count for row in (await overview.stats(ada)).stats.top_ips] == [1]


async def test_filters_are_all_applied(monitoring: Monitoring) -> None:
    """By type, user and address; the newest are kept, oldest first."""
    ada, bob = connection("ada"), connection("bob")
    for who in (ada, bob):
        monitoring.connected(who, "websocket")
        monitoring.disconnected(who, "transport close", "websocket")
    fail(monitoring, address="203.0.113.9")
    connects = ConnectionEvents(type=ConnectionEventType.CONNECT)
    assert await kinds(monitoring, ADMIN, connects) == ["connect", "connect"]
    assert await kinds(monitoring, ADMIN, ConnectionEvents(user_id="bob")) == ["connect", "disconnect"]
    assert await kinds(monitoring, ADMIN, ConnectionEvents(ip="203.0.113.9")) == ["auth_failure"]
    both = ConnectionEvents(ip=ada.address, user_id="ada", type=ConnectionEventType.DISCONNECT)
    assert await kinds(monitoring, ADMIN, both) == ["disconnect"]
    assert await kinds(monitoring, ADMIN, ConnectionEvents(limit=2)) == ["disconnect", "auth_failure"]
    assert await kinds(monitoring, ADMIN, ConnectionEvents(ip="192.0.2.200")) == []


async def test_the_busiest_come_first(monitoring: Monitoring) -> None:
    """Ten addresses and ten clients, by the number of their attempts: not by the ends of connections."""
    for _ in range(20):
        monitoring.disconnected(connection("ada"), "transport close", "websocket")
    for number in range(1, 13):
        for _ in range(number):
            fail(monitoring, address=f"198.51.100.{number}", agent=f"agent {number}")
    stats = await stats_of(monitoring, ADMIN)
    assert [(row.ip, row.count) for row in stats.top_ips] == [
        (f"198.51.100.{number}", number) for number in range(12, 12 - TOP, -1)
    ]
    assert (stats.top_user_agents[0].user_agent, stats.top_user_agents[0].count) == ("agent 12", 12)
    assert len(stats.recent_events) == RECENT


async def test_what_comes_from_outside_is_shortened_and_cleaned(monitoring: Monitoring) -> None:
    """No control character, line break or lone surrogate of a header is kept, and no endless text."""
    fail(monitoring, agent="a\x1b[31m\r\nb\ud800\u202e" + "x" * 5000, address="1" * 5000)
    (event,) = await events(monitoring, ADMIN)
    assert event.user_agent.startswith("a\N{REPLACEMENT CHARACTER}[31m")
    assert event.user_agent.isprintable()
    assert len(event.user_agent) == len(event.ip_address) == LONGEST_TEXT
    event.user_agent.encode()


async def test_only_the_newest_events_are_kept(monitoring: Monitoring) -> None:
    """Memory is bounded, the figures go on."""
    for number in range(EVENTS_KEPT + 10):
        fail(monitoring, address=f"address {number}")
    assert len(monitoring._events) == EVENTS_KEPT
    assert monitoring._events[0].address == "address 10"
    assert (await figures_of(monitoring)).failed_connections == EVENTS_KEPT + 10
