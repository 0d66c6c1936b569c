"""A node of its own process with one user in a room, for tests that kill and stop it: URL NAME."""

import asyncio
import sys

from hubbub.cluster.base import Connection
from hubbub.cluster.valkey import open_cluster


async def main(url: str, name: str) -> None:
    """Settle, say so, and stay."""
    cluster = await open_cluster(url, node=name)
    socket = Connection(
        socket_id=f"socket of {name}",
        user_id=f"user of {name}",
        username=name,
        email=None,
        role="user",
        address="192.0.2.1",
        user_agent="agent",
        connected_at=0,
    )
    await cluster.registry.connect(socket)
    await cluster.registry.enter("c", socket)
    print("ready", flush=True)
    while True:
        await asyncio.sleep(1.0)
        await cluster.registry.reap(2.0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
