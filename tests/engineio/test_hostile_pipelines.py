"""Hostile requests that come in a row, or have no end, on one connection."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hubbub.engineio.guard import GuardedHttp
from tests.engineio.harness import (
    DEADLINE,
    Http,
    Poller,
    Running,
    eventually,
    polling_url,
    running,
    websocket_url,
)

UPGRADE = "upgrade: websocket\r\nconnection: Upgrade\r\n"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Running]:
    """An engine that echoes."""
    async with running() as served:
        yield served


def connection_of(server: Running) -> GuardedHttp:
    """The server's side of the only connection."""
    (connection,) = server.state.connections
    assert isinstance(connection, GuardedHttp)
    return connection


async def poller_with_a_connection(server: Running) -> tuple[Poller, Http, GuardedHttp]:
    """A session, and a connection of its client."""
    client = await Poller.open(server.port)
    await eventually(lambda: not server.state.connections)
    http = await Http.connect(server.port)
    await eventually(lambda: len(server.state.connections) == 1)
    return client, http, connection_of(server)


@pytest.mark.parametrize("trailer", [b"a: b\r\n", b"a"])
async def test_endless_trailers(server: Running, trailer: bytes) -> None:
    """What follows the last chunk is bounded, too."""
    client = await Poller.open(server.port)
    http = await Http.connect(server.port)
    head = f"POST {polling_url(client.sid)} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    http.writer.write(head.encode() + b"0\r\n")

    async def go_on() -> None:
        for _ in range(1000):
            http.writer.write(trailer * 10_000)
            await http.writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(go_on(), DEADLINE)


async def test_endless_requests(server: Running) -> None:
    """Behind requests that wait for others no more is read: a few pieces wait, and all are answered."""
    http = await Http.connect(server.port)
    request = b"GET /x HTTP/1.1\r\n\r\n"
    count, most = 60_000, 0
    await eventually(lambda: len(server.state.connections) == 1)
    connection = connection_of(server)
    http.writer.write(request * count)
    for _ in range(count):
        assert (await http.reply()).status == 404
        most = max(most, len(connection.pipeline))
    assert most < 1.5 * 262_144 / len(request)


async def test_a_poll_behind_another_request_of_the_same_piece(server: Running) -> None:
    """The clock of idle connections does not run while a GET is held."""
    client, http, connection = await poller_with_a_connection(server)
    http.send("POST", polling_url(client.sid), b"4a")
    http.send("GET", polling_url(client.sid))
    assert (await http.reply()).text == "ok"
    assert (await http.reply()).text == "4a"
    http.send("POST", polling_url(client.sid), b"3")
    http.send("GET", polling_url(client.sid))
    assert (await http.reply()).text == "ok"
    await eventually(lambda: server.application.sessions[0].wire.polling)  # type: ignore[attr-defined]
    assert connection.timeout_keep_alive_task is None


async def test_bytes_that_ask_for_nothing(server: Running) -> None:
    """They do not keep a connection open, and neither does a body that came after its answer."""
    _, http, connection = await poller_with_a_connection(server)
    http.send("GET", polling_url("unknown"))
    assert (await http.reply()).status == 400
    http.writer.write(b"\r\n")
    http.send("POST", polling_url("unknown"), headers={"content-length": "3"})
    assert (await http.reply()).status == 400
    before = connection.timeout_keep_alive_task
    http.writer.write(b"abc\r\n")
    await eventually(lambda: connection.timeout_keep_alive_task not in (None, before))


@pytest.mark.parametrize("target", ["http://x", "http://[::1", "http://x:99999/engine.io/", "x:443"])
async def test_upgrades_to_no_target(server: Running, target: str) -> None:
    """They are refused; nothing of them is a fault of ours."""
    http = await Http.connect(server.port)
    http.writer.write(f"GET {target} HTTP/1.1\r\nhost: a\r\n{UPGRADE}\r\n".encode())
    assert (await http.reply()).status in (400, 404)


async def test_an_upgrade_behind_a_poll(server: Running) -> None:
    """It is refused: the poll's answer would come among its frames."""
    client, http, _ = await poller_with_a_connection(server)
    http.send("GET", polling_url(client.sid))
    await eventually(lambda: server.application.sessions[0].wire.polling)  # type: ignore[attr-defined]
    fields = "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    http.writer.write(
        f"GET {websocket_url(client.sid)} HTTP/1.1\r\nhost: a\r\n{UPGRADE}{fields}\r\n".encode()
    )
    assert (await http.reply()).status == 400
    await eventually(lambda: server.application.reasons == ["transport close"])


async def test_answers_that_nobody_takes() -> None:
    """A client that asks and takes nothing at all is cut off after a while."""
    async with running(header_timeout=0.2, body_timeout=0.2) as server:
        http = await Http.connect(server.port)
        await eventually(lambda: len(server.state.connections) == 1)
        connection = connection_of(server)
        connection.timeout_keep_alive = 0.2  # type: ignore[assignment]  # uvicorn's is whole seconds
        transport = connection.transport
        while not transport.get_write_buffer_size():
            http.writer.write(b"GET /engine.io/?transport=no HTTP/1.1\r\n\r\n" * 500)
            await asyncio.sleep(0)
        await eventually(lambda: not server.state.connections)
