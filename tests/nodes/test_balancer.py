"""No sticky sessions: the clients' defaults behind a balancer that gives each request to the next node."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.harness.balancer import balancing
from tests.harness.clients import Client
from tests.harness.node_client import NodeClient
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.harness.world import NPM_MODES, PYTHON, World
from tests.nodes.several import Several, before, insist, metrics_of, several
from tests.postgres import Postgres


async def relayed(nodes: Several) -> float:
    """How many requests all nodes have passed on."""
    told = await asyncio.gather(*(metrics_of(world.server.url) for world in nodes.worlds))
    return sum(metrics["hubbub_relayed_total"] for metrics in told)


@pytest.mark.node
@pytest.mark.parametrize("mode", NPM_MODES)
async def test_npm_clients(nodes: Several, front: World, mode: str) -> None:
    """Connected, upgraded where they do, in one room; each hears everything once and in order."""
    passed = await relayed(nodes)
    chat_id, clients = await front.room_of(*(new_user() for _ in range(6)), mode=mode)
    await talk(chat_id, clients)
    for client in clients:
        assert isinstance(client, NodeClient)
        state = await client.state()
        assert state["transport"] == ("polling" if mode == "npm, polling only" else "websocket")
        assert client.seen("$disconnect") == []
    if mode != "npm, WebSocket only":
        assert await relayed(nodes) > passed


async def test_python_clients(nodes: Several, front: World) -> None:
    """The Python client's defaults."""
    passed = await relayed(nodes)
    chat_id, clients = await front.room_of(*(new_user() for _ in range(4)), mode=PYTHON)
    await talk(chat_id, clients)
    assert await relayed(nodes) > passed


async def talk(chat_id: str, clients: list[Client]) -> None:
    """Everybody says something, five times."""
    for number in range(5):
        await asyncio.gather(*(client.say(chat_id, f"{client.user.id} {number}") for client in clients))
    numbers = list(range(1, 5 * len(clients) + 1))
    for client in clients:
        told = await client.inbox.wait_count("message:new", len(numbers))
        assert [message["seq"] for message in told] == numbers


@pytest.mark.slow
@pytest.mark.node
async def test_a_node_is_killed(tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer) -> None:
    """Clients on it, and those that came over it, connect again by themselves and go on."""
    database = postgres_server, postgres_server.create()
    times = {"ping_interval": "2s", "ping_timeout": "10s"}
    async with AsyncExitStack() as stack:
        trio = await stack.enter_async_context(several(tmp_path, database, valkey.url, 3, **times))
        ports = [world.server.port for world in trio.worlds]
        world = before(trio, await stack.enter_async_context(balancing(tmp_path, ports)))
        stack.push_async_callback(world.node.stop)
        stack.push_async_callback(world.close)
        users = [new_user() for _ in range(9)]
        chat_id = await world.chat_of(*users)
        clients = await asyncio.gather(*map(world.connect, users, [*NPM_MODES] * 3))
        await trio.server(2).kill()
        await asyncio.gather(*(insist(client, chat_id, client.user.id) for client in clients))
        history = await world.rest.history(users[0], chat_id)
        assert sorted(message["content"] for message in history) == sorted(user.id for user in users)
