"""Fixtures of the API tests: one event loop for all of them, shared servers, one Node process.

Every worker of a parallel run has its own. Servers are shared by settings; users and chats are new for each
test.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.node_client import NodeHost
from tests.harness.servers import ServerPool, serve
from tests.harness.world import NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET, PYTHON, World

MODES = [
    *(
        pytest.param(mode, id=mode, marks=pytest.mark.node)
        for mode in (NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET)
    ),
    pytest.param(PYTHON, id=PYTHON),
]

SMALL_ROOMS = {"online_list_limit": "3", "receipt_broadcast_limit": "2", "typing_broadcast_limit": "1"}
"""Settings by which a handful of users is a large room."""

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Clients and servers outlive one test, so all tests here share one event loop."""
    mark = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(mark, append=False)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each client and transport of the document's promise."""
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerPool]:
    """Servers, shared by their settings; each must have stopped well at the end."""
    pool = ServerPool(tmp_path_factory.mktemp("servers"))
    yield pool
    await pool.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node() -> AsyncIterator[NodeHost]:
    """The Node process; it starts when a test first uses it."""
    host = NodeHost()
    yield host
    await host.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def world(servers: ServerPool, node: NodeHost) -> AsyncIterator[World]:
    """The shared server with the rates off and all else by default."""
    world = World(await servers.shared(), node)
    yield world
    await world.close()


Worlds = Callable[..., Awaitable[World]]


@pytest_asyncio.fixture(loop_scope="session")
async def world_with(servers: ServerPool, node: NodeHost) -> AsyncIterator[Worlds]:
    """Makes the world of a shared server with the settings given."""
    async with AsyncExitStack() as stack:

        async def make(**settings: str | None) -> World:
            world = World(await servers.shared(**settings), node)
            stack.push_async_callback(world.close)
            return world

        yield make


@pytest_asyncio.fixture(loop_scope="session")
async def start(servers: ServerPool, node: NodeHost) -> AsyncIterator[Worlds]:
    """Makes the world of a server of the test's own, which it may stop and kill."""
    async with AsyncExitStack() as stack:

        async def make(data_dir: Path | None = None, **settings: str | None) -> World:
            server = await serve(data_dir or servers.folder(), **settings)
            stack.push_async_callback(server.end)
            world = World(server, node)
            stack.push_async_callback(world.close)
            return world

        yield make
