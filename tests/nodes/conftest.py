"""Nodes that tests share, on one event loop with their clients, and a Valkey of a test's own.

Tests that break something start nodes of their own.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import valkey as valkeys
from tests.harness.balancer import balancing
from tests.harness.valkey import ValkeyServer
from tests.harness.world import World
from tests.nodes.several import TYPING_RATE, Several, before, several
from tests.postgres import Postgres

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Clients and nodes outlive one test, so all tests here share one event loop.

    Starting nodes takes a while on a busy machine.
    """
    mark = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(180))
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(mark, append=False)


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[ValkeyServer]:
    """The Valkey of the shared nodes."""
    server = ValkeyServer()
    with valkeys.running(server):
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nodes(
    postgres_server: Postgres, shared_valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Several]:
    """Three nodes, started together on an empty database."""
    folder, database = tmp_path_factory.mktemp("nodes"), (postgres_server, postgres_server.create())
    rate = f"{TYPING_RATE}/1m"
    async with several(folder, database, shared_valkey.url, 3, typing_rate=rate) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def front(nodes: Several, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The shared nodes behind a balancer."""
    folder = tmp_path_factory.mktemp("balancer")
    async with balancing(folder, [world.server.port for world in nodes.worlds]) as url:
        world = before(nodes, url)
        try:
            yield world
        finally:
            await world.close()
            await world.node.stop()
