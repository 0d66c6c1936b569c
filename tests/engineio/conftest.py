"""The engine is tested on the event loop that it is made for."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What pytest-asyncio makes the loops of this folder's tests with."""
    return {"uvloop": uvloop.new_event_loop}
