"""The python-socketio client in its three ways of connecting: all it can notice of the library works."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import socketio
from socketio.exceptions import ConnectionError as SocketIOConnectionError

from tests.socketio.fakes import eventually
from tests.socketio.harness import serving
from tests.socketio.playground import Playground

NAMESPACE = "/play"


@asynccontextmanager
async def joined(
    address: str, transports: list[str]
) -> AsyncIterator[tuple[socketio.AsyncClient, list[object]]]:
    """A connected client, and all events that it gets as lists of their arguments."""
    events: list[object] = []
    client = socketio.AsyncClient(reconnection=False)
    client.on("*", lambda event, *args: events.append([event, *args]), namespace=NAMESPACE)
    client.on("question", lambda text, file: (f"{text}!", file + b"\x09"), namespace=NAMESPACE)
    await client.connect(
        f"http://{address}", namespaces=[NAMESPACE], auth={"token": "good"}, transports=transports
    )
    try:
        yield client, events
    finally:
        await client.disconnect()


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="-".join)
async def test_python_client(transports: list[str]) -> None:
    """Acknowledgements and binary both ways, order, rooms, disconnection."""
    playground = Playground()
    async with serving(playground.server) as address, joined(address, transports) as (client, events):
        assert client.transport() == transports[-1]
        sid = client.get_sid(NAMESPACE)
        await eventually(lambda: events == [["welcome", sid, {}]])

        async def call(event: str, *args: object) -> object:
            return await client.call(event, args, namespace=NAMESPACE, timeout=5)

        assert await call("echo", "é😀", 1, {"a": [None, b"\1\2"]}) == ("é😀", 1, {"a": [None, b"\1\2"]})
        assert await call("ask", "why", b"\x08") == ("why!", b"\x08\x09")
        for number in range(50):
            await client.emit("back", number, namespace=NAMESPACE)
        await eventually(lambda: len(events) == 51)
        assert events[1:] == [["back", number, {}] for number in range(50)]
        await call("join", "room")
        await client.emit("shout", ("room", {"n": 1}, b"\x07"), namespace=NAMESPACE)
        await eventually(lambda: events[-1] == ["shouted", {"n": 1}, b"\x07"])
        if transports[-1] == "websocket":  # over polling, a kicked client leaves its last poll behind
            await client.emit("kick", namespace=NAMESPACE)
            await eventually(lambda: not client.namespaces)
            await eventually(lambda: playground.gone == ["server namespace disconnect"])
    if transports[-1] == "polling":
        assert playground.gone == ["client namespace disconnect"]


async def test_refused() -> None:
    """The client hears the message and the data of a refusal."""
    playground = Playground()
    heard: list[object] = []
    async with serving(playground.server) as address:
        client = socketio.AsyncClient(reconnection=False)
        client.on("connect_error", heard.append, namespace=NAMESPACE)
        with pytest.raises(SocketIOConnectionError):
            await client.connect(f"http://{address}", namespaces=[NAMESPACE], transports=["websocket"])
        await eventually(lambda: heard)
    assert heard == [{"message": "Unauthorized", "data": {"code": "INVALID_TOKEN"}}]
    assert playground.gone == []
