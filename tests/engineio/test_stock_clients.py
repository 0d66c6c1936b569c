"""Clients that others wrote: the npm client and python-engineio, on each transport."""

import asyncio
import json
from pathlib import Path

import engineio
import pytest

from tests.conftest import JS_PACKAGES
from tests.engineio.harness import eventually, running

SCRIPT = Path(__file__).with_name("stock_client.mjs")


@pytest.mark.node
@pytest.mark.parametrize(
    ("transports", "ends_on"),
    [("default", "websocket"), ("polling", "polling"), ("websocket", "websocket")],
)
@pytest.mark.parametrize("count", [1, 200])
async def test_npm_client(transports: str, ends_on: str, count: int) -> None:
    """Bursts before and after the upgrade come back whole and in order, binary messages among them."""
    async with running() as server:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(SCRIPT),
            str(JS_PACKAGES),
            str(server.port),
            transports,
            str(count),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        seen = json.loads(output)
        bursts = [[f"{name}{number}" for number in range(count)] + ["1,2,3"] for name in "ab"]
        assert seen["echoes"] == bursts[0] + bursts[1]
        assert seen["transport"] == ends_on
        await eventually(lambda: len(server.application.ended) == 1)


@pytest.mark.parametrize(
    ("transports", "ends_on"),
    [(None, "websocket"), (["polling"], "polling"), (["websocket"], "websocket")],
)
async def test_python_client(transports: list[str] | None, ends_on: str) -> None:
    """A hundred echoes come back in order, in payloads that the client accepts."""
    async with running() as server:
        client = engineio.AsyncClient()
        received: list[str | bytes] = []
        client.on("message", received.append)
        await client.connect(
            f"http://127.0.0.1:{server.port}", transports=transports, engineio_path="engine.io"
        )
        messages: list[str | bytes] = [f"m{number}" for number in range(100)]
        for start in range(0, 100, 10):
            for message in messages[start : start + 10]:
                await client.send(message)
            await eventually(lambda start=start: len(received) == start + 10)  # type: ignore[misc]
        assert received == messages
        assert client.transport() == ends_on
        await client.disconnect()
        await eventually(lambda: len(server.application.ended) == 1)


async def test_python_client_with_a_burst_for_it() -> None:
    """More packets than it takes at once come in several payloads."""
    async with running() as server:
        client = engineio.AsyncClient()
        received: list[str | bytes] = []
        client.on("message", received.append)
        await client.connect(
            f"http://127.0.0.1:{server.port}", transports=["polling"], engineio_path="engine.io"
        )
        for number in range(15):
            await client.send("x" * number)
        session = server.application.sessions[0]
        for number in range(100):
            server.application.message(session, f"m{number}")
        await eventually(lambda: len(received) == 115)
        assert [message for message in received if message[:1] == "m"] == [f"m{n}" for n in range(100)]
        await client.disconnect()
