"""What the engine needs of uvicorn and does not find in its documentation.

Uvicorn is pinned to an exact version; when one of these fails after a move of the pin, the drivers follow.
"""

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from hubbub.engineio import Engine
from tests.engineio.harness import (
    CONFIG,
    Http,
    Poller,
    Recorder,
    Socket,
    eventually,
    polling_url,
    request,
)


@asynccontextmanager
async def serving(engine: Engine, **settings: object) -> AsyncIterator[uvicorn.Server]:
    """Run the real `uvicorn.Server`, without its signal handlers."""
    config = uvicorn.Config(
        engine,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        proxy_headers=False,
        log_config=None,
        **settings,  # type: ignore[arg-type]
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    await eventually(lambda: server.started)
    try:
        yield server
    finally:
        for client in Http.connected:
            client.abort()
        Http.connected.clear()
        server.should_exit = True
        await running
        engine.timers.close()


def port_of(server: uvicorn.Server) -> int:
    """Where it listens."""
    return int(server.servers[0].sockets[0].getsockname()[1])


def test_the_version_these_facts_are_of() -> None:
    """The interface is undocumented, so the version is pinned."""
    assert importlib.metadata.version("uvicorn") == "0.54.0"


async def test_upgrades_are_handed_over() -> None:
    """`handle_websocket_upgrade` is called once the head is there, and `connections` is what is closed."""
    application = Recorder()
    engine = Engine(CONFIG, application)
    async with serving(engine, http=engine.http, ws="none") as server:
        client = await Socket.open(port_of(server))
        assert await client.echoes()
        handshake = application.sessions[0].handshake
        assert handshake.address == "127.0.0.1"
        assert handshake.headers["upgrade"] == "websocket"
        assert handshake.raw_query == "EIO=4&transport=websocket"
        (connection,) = server.server_state.connections
        assert type(connection).__name__ == "WebSocket"
        client.leave()
        await client.close_code()
        client.close()
        await eventually(lambda: not server.server_state.connections)


async def test_raw_paths() -> None:
    """The scope has the path as it was sent."""
    engine = Engine(CONFIG, Recorder())
    async with serving(engine, http=engine.http, ws="none") as server:
        assert (await request(port_of(server), "GET", polling_url(path="/engine%2Eio/"))).status == 404


async def test_shutdown_closes_websockets() -> None:
    """Uvicorn calls `shutdown()` on every connection it knows and waits for it to go."""
    engine = Engine(CONFIG, Recorder())
    async with serving(engine, http=engine.http, ws="none") as server:
        client = await Socket.open(port_of(server))
        candidate = await Socket.upgrade(port_of(server), (await Poller.open(port_of(server))).sid)
        server.should_exit = True
        assert await client.close_code() == 1012
        assert await candidate.close_code() == 1012


async def test_a_client_that_left() -> None:
    """A cycle learns of the loss of its connection by `disconnected` and `message_event`."""
    application = Recorder()
    engine = Engine(CONFIG, application)
    async with serving(engine, http=engine.http, ws="none") as server:
        client = await Poller.open(port_of(server))
        poll = await client.start_get()
        await eventually(lambda: application.sessions[-1].wire.polling)  # type: ignore[attr-defined]
        poll.abort()
        await eventually(lambda: application.reasons == ["transport close"])


async def test_a_poll_is_no_task() -> None:
    """A held poll costs no task: uvicorn is given something else for its cycle."""
    application = Recorder()
    engine = Engine(CONFIG, application)
    async with serving(engine, http=engine.http, ws="none") as server:
        client = await Poller.open(port_of(server))
        before = len(asyncio.all_tasks())
        await client.start_get()
        await eventually(lambda: application.sessions[0].wire.polling)  # type: ignore[attr-defined]
        assert len(asyncio.all_tasks()) == before
        assert not server.server_state.tasks
