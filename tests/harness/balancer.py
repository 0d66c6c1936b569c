"""A plain balancer before the nodes of a test: each request goes to the next one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM

import pytest

from tools.cluster.balancer import Balancer, missing
from tools.cluster.program import START, free_port


@asynccontextmanager
async def balancing(folder: Path, ports: Sequence[int]) -> AsyncIterator[str]:
    """The URL of a balancer before the nodes at these ports."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    balancer = Balancer(folder, free_port(), ports)
    try:
        await asyncio.to_thread(balancer.start)
        yield balancer.url
    finally:
        await asyncio.to_thread(balancer.program.stop, SIGTERM, START)
