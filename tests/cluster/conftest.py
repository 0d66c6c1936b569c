"""Several nodes on one Valkey, in one process: what they share goes through the server all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
import uvloop

from hubbub.cluster.valkey import Cluster, membership, nodes, open_cluster
from tests.cluster.implementations import Join
from tests.harness.valkey import ValkeyServer
from tests.lossless.cluster import ClusterStage


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the server runs on. Tests that make their own have that of asyncio."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def join(valkey: ValkeyServer) -> AsyncIterator[Join]:
    """Makes nodes; they leave after the test."""
    async with AsyncExitStack() as stack:

        async def make(name: str) -> Cluster:
            cluster = await open_cluster(valkey.url, node=name)
            stack.push_async_callback(cluster.close)
            return cluster

        yield make


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of two seconds rather than five: the tests wait for their end."""
    monkeypatch.setattr(nodes, "LEASE", 2.0)
    monkeypatch.setattr(membership, "_BEAT", 0.25)
    monkeypatch.setattr(membership, "_STEADY", 2.5)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClusterStage]:
    """Three whole nodes with a PostgreSQL and a Valkey of their own, which the tests of faults share."""
    async with ClusterStage(tmp_path_factory.mktemp("cluster")) as stage:
        yield stage
        await stage.end()
