"""Monitoring: figures, events and who may see them (contract, section 7)."""

import asyncio

import pytest

from tests.api import objects
from tests.api.conftest import Worlds
from tests.harness.clients import Client, Json, RefusedError
from tests.harness.inbox import eventually
from tests.harness.shapes import check
from tests.harness.users import new_user
from tests.harness.world import World


async def events(client: Client, **filters: object) -> list[Json]:
    """The events that a client may see."""
    found: list[Json] = (await client.done("monitoring:events", filters))["events"]
    return found


async def metrics(client: Client) -> Json:
    """The figures."""
    found: Json = (await client.done("monitoring:metrics"))["metrics"]
    return found


async def come_and_go(world: World) -> str:
    """One user who connects and disconnects; the user's id."""
    client = await world.connect()
    await client.disconnect()
    return client.user.id


async def test_admin_sees_all(world: World) -> None:
    """An admin sees everybody's events, the newest `limit` that match, oldest first."""
    admin = await world.connect(new_user("admin", "admin"))
    user_ids = [await come_and_go(world) for _ in range(3)]

    async def all_gone() -> bool:
        gone = await events(admin, type="disconnect", limit=1000)
        return set(user_ids) <= {event["userId"] for event in gone}

    await eventually(all_gone, what="the three to be recorded as gone")
    connects = await events(admin, type="connect", limit=3)
    check(connects, [{**objects.CONNECTION_EVENT, "type": "connect"}])
    assert [event["userId"] for event in connects] == user_ids
    both = await events(admin, userId=user_ids[1])
    assert [event["type"] for event in both] == ["connect", "disconnect"]
    times = [event["timestamp"] for event in await events(admin, limit=1000)]
    assert times == sorted(times)


async def test_others_see_their_own(world: World) -> None:
    """Who is no admin sees own events only, whatever is asked for."""
    other_id = await come_and_go(world)
    client = await world.connect()
    own = await events(client)
    assert [(event["type"], event["userId"]) for event in own] == [("connect", client.user.id)]
    assert await events(client, userId=other_id) == []
    assert await events(client, ip="192.0.2.1") == []
    assert await events(client, ip=own[0]["ipAddress"]) == own


async def test_statistics_for_admins(world: World) -> None:
    """`topIPs` and `topUserAgents` are for admins."""
    client, admin = await world.connect_all(new_user(), new_user("admin", "admin"))
    stats = (await admin.done("monitoring:stats"))["stats"]
    check(stats, objects.MONITORING_STATS)
    assert stats["topIPs"]
    assert stats["topUserAgents"]
    assert stats["recentEvents"]
    stats = (await client.done("monitoring:stats"))["stats"]
    assert (stats["topIPs"], stats["topUserAgents"]) == ([], [])
    assert {event["userId"] for event in stats["recentEvents"]} <= {client.user.id}


async def test_access_for_everyone(world_with: Worlds) -> None:
    """`monitoring_access = "everyone"` lifts both."""
    world = await world_with(presence_details="everyone", monitoring_access="everyone")
    other_id = await come_and_go(world)
    client = await world.connect()
    assert other_id in {event["userId"] for event in await events(client, limit=1000)}
    stats = (await client.done("monitoring:stats"))["stats"]
    assert stats["topIPs"]
    assert stats["topUserAgents"]


async def test_failures_are_recorded(start: Worlds) -> None:
    """Refused attempts are `auth_failure` and `rate_limit` events, and `errorRate` is their share of all."""
    world = await start(connection_rate="3/5m")
    admin = await world.connect(new_user("admin", "admin"))
    for token in ("nonsense", new_user().token(-5), None):
        with pytest.raises(RefusedError):
            await world.client().connect(token)
    found = [event["type"] for event in await events(admin)]
    assert found == ["connect", "auth_failure", "auth_failure", "rate_limit"]
    assert (await admin.done("monitoring:stats"))["stats"]["errorRate"] == 0.75
    figures = await metrics(admin)
    assert figures["failedConnections"] == 3
    assert figures["activeConnections"] == 1


async def test_metrics(start: Worlds) -> None:
    """Figures count connections, their peak and their mean duration in milliseconds."""
    world = await start()
    client = await world.connect()
    assert (await metrics(client))["averageConnectionDuration"] == 0
    others = await asyncio.gather(*(world.connect() for _ in range(4)))
    for other in others:
        await other.disconnect()

    async def alone() -> Json | None:
        figures = await metrics(client)
        return figures if figures["activeConnections"] == 1 else None

    figures = await eventually(alone, what="the others to be gone")
    check(figures, objects.METRICS)
    assert figures["totalConnections"] == 5
    assert figures["peakConnections"] == 5
    assert figures["connectionsPerMinute"] == 5
    assert figures["failedConnections"] == 0
    assert 0 < figures["averageConnectionDuration"] < 10_000


async def test_health(world: World) -> None:
    """A server that works is healthy, with no issue and nothing to recommend."""
    client = await world.connect()
    health = (await client.done("monitoring:health"))["health"]
    check(health, objects.HEALTH)
    assert (health["issues"] == []) == (health["recommendations"] == []) == (health["status"] == "healthy")


async def test_health_judges(start: Worlds) -> None:
    """Past its own threshold a figure is an issue with a recommendation."""
    world = await start(health_memory_warning="1024", health_memory_critical="2048")
    client = await world.connect()
    health = (await client.done("monitoring:health"))["health"]
    check(health, {**objects.HEALTH, "status": "critical"})
    assert any("emory" in issue for issue in health["issues"])
    assert health["recommendations"]
