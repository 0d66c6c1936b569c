"""Every implementation of the ports of `cluster.base`: each faces the same tests."""

import asyncio
import atexit
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from hubbub.cluster.base import Bus, Connection, Limiter, Nodes, Registry
from hubbub.cluster.local import LocalBus, LocalLimiter, LocalNodes, LocalRegistry
from hubbub.cluster.valkey import Cluster, open_cluster
from tests.chat.fakes import FakeClock
from tests.harness.valkey import ValkeyServer

NAMES = ("local", "valkey")

Join = Callable[[str], Awaitable[Cluster]]

# What a node needs of Valkey: no scripts, nothing dangerous, and nobody else's keys and channels.
ACCESS = "on >geheim ~hubbub:* &hubbub:* +@all -@scripting -@dangerous -@admin"


@dataclass
class Ports:
    """What one node has."""

    bus: Bus
    registry: Registry
    limiter: Limiter
    nodes: Nodes


@cache
def shared_valkey() -> ValkeyServer:
    """The Valkey of all tests that neither stop nor break it; skips the test where there is none."""
    server = ValkeyServer("--user", "bus", *ACCESS.split())
    atexit.register(server.remove)
    server.start()
    return server


@asynccontextmanager
async def open_ports(name: str, clock: Callable[[], float] | None = None) -> AsyncIterator[Ports]:
    """One of the implementations, of a single node, with nothing in it. The limiter's clock stands still."""
    clock = clock or FakeClock()
    if name == "local":
        yield Ports(LocalBus(), LocalRegistry(), LocalLimiter(clock), LocalNodes())
        return
    server = shared_valkey()
    server.ask("FLUSHALL")
    cluster = await open_cluster(server.url_for("bus", "geheim"), clock=clock)
    try:
        yield Ports(cluster.bus, cluster.registry, cluster.limiter, cluster.nodes)
        # Without Valkey a node answers by itself: that is not what was to be tested.
        assert cluster.failures() == 0
    finally:
        await cluster.close()


def connection(socket_id: str, user_id: str, connected_at: int = 0) -> Connection:
    """A socket of a user."""
    return Connection(
        socket_id=socket_id,
        user_id=user_id,
        username=f"name of {user_id}",
        email=None,
        role="user",
        address="192.0.2.1",
        user_agent="agent",
        connected_at=connected_at,
    )


async def wait_until(holds: Callable[[], Awaitable[bool] | bool], what: str, seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = holds()
                if answer if isinstance(answer, bool) else await answer:
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never within {seconds:.0f} s: {what}") from None
