"""Monitoring over HTTP: what sockets are answered, for admins."""

import pytest

from hubbub.contract.values import ConnectionEventType
from tests.chat.fakes import connection
from tests.http.site import Site

ROUTES = ("metrics", "events", "stats", "health", "nodes")


@pytest.fixture
def busy(site: Site) -> Site:
    """A site where some have connected."""
    for user_id in ("ada", "bob", "ada"):
        site.monitoring.connected(connection(user_id), "websocket")
    site.monitoring.record(
        ConnectionEventType.ERROR,
        socket_id=None,
        user_id=None,
        address="203.0.113.9",
        user_agent="agent",
        details={"reason": "x"},
    )
    return site


async def test_what_there_is_to_see(busy: Site) -> None:
    """The same objects as on a socket, and nothing said of missing nodes when none is missing."""
    admin = await busy.user("root", "admin")
    found = {name: await admin.done("GET", f"/monitoring/{name}") for name in ROUTES}
    assert found["metrics"].keys() == {"success", "metrics"}
    assert found["metrics"]["metrics"]["activeConnections"] == 3
    assert [event["type"] for event in found["events"]["events"]] == ["connect"] * 3 + ["error"]
    assert found["stats"]["stats"]["errorRate"] == 0.25
    assert found["stats"]["stats"]["topIPs"][-1] == {"ip": "203.0.113.9", "count": 1}
    assert found["health"]["health"] == {"status": "healthy", "issues": [], "recommendations": []}
    (node,) = found["nodes"]["nodes"]
    assert (node["node"], node["host"], node["pid"], node["activeConnections"]) == (
        "local",
        "host.example",
        4711,
        3,
    )


async def test_filters(busy: Site) -> None:
    """Those of the socket's request, in the query."""
    admin = await busy.user("root", "admin")

    async def count(query: str) -> int:
        return len((await admin.done("GET", f"/monitoring/events?{query}"))["events"])

    assert await count("limit=2") == 2
    assert await count("userId=ada") == 2
    assert await count("type=error") == 1
    assert await count("ip=203.0.113.9") == 1
    assert await count("userId=bob&type=error") == 0
    for query in ("limit=0", "limit=1001", "type=nonsense", "userId="):
        await admin.refused(400, "INVALID_REQUEST", "GET", f"/monitoring/events?{query}")


@pytest.mark.parametrize("route", ROUTES)
async def test_for_admins_only(busy: Site, route: str) -> None:
    """Nobody else."""
    user = await busy.user("ann")
    await user.refused(403, "FORBIDDEN", "GET", f"/monitoring/{route}")
    await busy.nobody().refused(401, "UNAUTHENTICATED", "GET", f"/monitoring/{route}")


@pytest.mark.parametrize("route", ROUTES[:-1])
async def test_a_node_by_its_name(busy: Site, route: str) -> None:
    """Another than there is: 404, and which there are."""
    admin = await busy.user("root", "admin")
    await admin.done("GET", f"/monitoring/{route}?node=local")
    failure = await admin.refused(404, "NOT_FOUND", "GET", f"/monitoring/{route}?node=other")
    assert failure["message"] == "Node not found"
    assert failure["details"] == [{"field": "node", "problem": "must be one of local"}]
