"""Monitoring is that of all nodes, whichever is asked; one that is gone or hangs is named, not waited for."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.harness.clients import Client, Json
from tests.harness.inbox import eventually
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.nodes.several import Several, several
from tests.postgres import Postgres

SOON = 20.0
ROUTES = ("metrics", "events", "stats", "health")
PROMPT = 5.0
"""Seconds within which an answer has come that waits a second for a node, on a busy machine."""


async def ask(client: Client, what: str, **fields: object) -> Json:
    """The whole answer to a request of monitoring."""
    return await client.done(f"monitoring:{what}", fields)


async def names_of(nodes: Several, admin: Client) -> list[str]:
    """The nodes' names, in the order of `nodes`."""
    listed = (await nodes.worlds[0].rest.done(admin.user, "GET", "/monitoring/nodes"))["nodes"]
    by_process = {row["pid"]: row["node"] for row in listed}
    return [by_process[world.server.pid] for world in nodes.worlds]


async def test_events_of_any_node(nodes: Several) -> None:
    """Users see their own events of all nodes, in order, and nobody else's; an admin everybody's. A node that
    is named answers for itself, whichever is asked.
    """
    user, other, root = new_user(), new_user(), new_user("root", "admin")
    clients = [await nodes.connect(node, user) for node in range(3)]
    stranger, admin = await nodes.connect(1, other), await nodes.connect(2, root)
    names = await names_of(nodes, admin)
    sids = [event["socketId"] for event in (await ask(clients[0], "events"))["events"]]
    assert len(set(sids)) == 3
    for client in clients:
        events = (await ask(client, "events"))["events"]
        assert [event["socketId"] for event in events] == sids
        assert {event["userId"] for event in events} == {user.id}
        assert (await ask(client, "events", userId=other.id))["events"] == []
        stats = (await ask(client, "stats"))["stats"]
        assert [event["socketId"] for event in stats["recentEvents"]] == sids
        assert (stats["topIPs"], stats["topUserAgents"]) == ([], [])
        one_by_one = [(await ask(client, "events", node=name))["events"] for name in names]
        assert [event["socketId"] for (event,) in one_by_one] == sids
    assert [event["userId"] for event in (await ask(stranger, "events"))["events"]] == [other.id]
    events = (await ask(admin, "events", userId=user.id))["events"]
    assert [event["socketId"] for event in events] == sids
    newest = (await ask(admin, "events", limit=5, type="connect"))["events"]
    assert [event["userId"] for event in newest] == [user.id] * 3 + [other.id, root.id]


async def test_over_http(nodes: Several) -> None:
    """The same for admins: all nodes together, or one; another name is 404 and says which there are."""
    admin, user = await nodes.connect(0, new_user("root", "admin")), new_user()
    names = await names_of(nodes, admin)
    for world in nodes.worlds:
        rest = world.rest
        for route in ROUTES:
            whole = await rest.done(admin.user, "GET", f"/monitoring/{route}")
            assert "missingNodes" not in whole
            for name in names:
                one = await rest.done(admin.user, "GET", f"/monitoring/{route}?node={name}")
                assert one.keys() == whole.keys()
            status, failure = await rest.ask(admin.user, "GET", f"/monitoring/{route}?node=nobody")
            assert (status, failure["code"]) == (404, "NOT_FOUND")
            assert failure["details"][0]["problem"] == f"must be one of {', '.join(sorted(names))}"
            assert (await rest.ask(user, "GET", f"/monitoring/{route}"))[0] == 403
    assert (await admin.refused("monitoring:health", {"node": "nobody"}))["message"] == "Node not found"


async def check_sums(admins: list[Client], names: list[str]) -> None:
    """The figures of three nodes with 1, 2 and 3 sockets and 4 that left are sums, the same on every node."""

    async def settled() -> bool:
        active: int = (await ask(admins[0], "metrics"))["metrics"]["activeConnections"]
        return active == 6

    await eventually(settled, SOON, "those who left to be gone")
    first, *rest = [await ask(admin, "metrics") for admin in admins]
    assert rest == [first, first]
    assert "missingNodes" not in first
    assert first["metrics"]["totalConnections"] == 10
    alone = [(await ask(admins[0], "metrics", node=name))["metrics"] for name in names]
    assert [one["activeConnections"] for one in alone] == [1, 2, 3]
    assert first["metrics"]["peakConnections"] == sum(one["peakConnections"] for one in alone)
    stats = (await ask(admins[2], "stats"))["stats"]
    assert [row["count"] for row in stats["topIPs"]] == [10]
    assert stats["errorRate"] == 0.0


async def check_stopped(nodes: Several, admins: list[Client], stopped: str) -> None:
    """The answers of the others come soon, without the stopped node, and say so."""
    begun = time.monotonic()
    figures, health, (status, silent) = await asyncio.gather(
        ask(admins[0], "metrics"),
        ask(admins[1], "health"),
        nodes.worlds[0].rest.ask(admins[0].user, "GET", f"/monitoring/stats?node={stopped}"),
    )
    assert time.monotonic() - begun < PROMPT
    assert figures["missingNodes"] == health["missingNodes"] == [stopped]
    assert figures["metrics"]["activeConnections"] == 3
    assert f"Node {stopped} does not answer" in health["health"]["issues"]
    assert health["health"]["status"] != "healthy"
    assert (status, silent["code"], silent["retryAfter"]) == (503, "UNAVAILABLE", 1)


@pytest.mark.slow
async def test_nodes_that_hang_and_die(
    tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer
) -> None:
    """Figures are sums. One that is stopped is named as missing and holds nobody up; one that is killed is
    soon no node any more.
    """
    database = postgres_server, postgres_server.create()
    async with several(tmp_path, database, valkey.url, 3) as nodes:
        admins = [await nodes.connect(node, new_user("root", "admin")) for node in range(3)]
        for node in (0, 1, 1, 2):
            await (await nodes.connect(node, new_user())).disconnect()
        for node in (1, 2, 2):
            await nodes.connect(node, new_user())
        names = await names_of(nodes, admins[0])
        await check_sums(admins, names)

        os.kill(nodes.server(2).pid, signal.SIGSTOP)
        try:
            await check_stopped(nodes, admins, names[2])
        finally:
            os.kill(nodes.server(2).pid, signal.SIGCONT)

        async def left(active: int) -> bool:
            answer = await ask(admins[0], "metrics")
            found: int = answer["metrics"]["activeConnections"]
            return "missingNodes" not in answer and found == active

        await eventually(lambda: left(6), SOON, "the node to go on")
        await nodes.server(2).kill()
        await eventually(lambda: left(3), SOON, "the dead node to be no node")
        refused = await admins[0].refused("monitoring:metrics", {"node": names[2]})
        assert refused["details"][0]["problem"] == f"must be one of {', '.join(sorted(names[:2]))}"
