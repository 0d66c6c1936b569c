"""Waiting for conditions that nobody tells of."""

import asyncio
import time
from collections.abc import Callable

STEP = 0.03


async def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds; False when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(STEP)
    return True
