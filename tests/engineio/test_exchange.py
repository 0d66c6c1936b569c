"""Requests of polling clients as HTTP sees them: keep-alive, pipelining, answers that nobody takes."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hubbub.engineio import polling
from tests.engineio.harness import DEADLINE, Http, Poller, Running, eventually, polling_url, running

REFUSED = b"GET /engine.io/?EIO=4&transport=nonsense HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Running]:
    """An engine that echoes."""
    async with running() as served:
        yield served


async def test_a_connection_that_is_to_close(server: Running) -> None:
    """`Connection: close` and HTTP/1.0 are answered with a close, others keep their connection."""
    http = await Http.connect(server.port)
    http.send("GET", polling_url())
    assert "connection" not in (await http.reply()).headers
    http.send("GET", polling_url(), headers={"connection": "close"})
    reply = await http.reply()
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    assert await http.reader.read() == b""

    old = await Http.connect(server.port)
    old.writer.write(f"GET {polling_url()} HTTP/1.0\r\n\r\n".encode())
    assert (await old.reply()).headers["connection"] == "close"
    assert await old.reader.read() == b""


async def test_a_client_that_asks_before_its_body(server: Running) -> None:
    """`Expect: 100-continue` is answered, unless the body is refused by what the head says of it."""
    client = await Poller.open(server.port)
    http = await Http.connect(server.port)
    expecting = {"expect": "100-continue", "content-length": "3"}
    http.send("POST", polling_url(client.sid), headers=expecting)
    assert (await http.reply()).status == 100
    http.writer.write(b"4ab")
    assert (await http.reply()).text == "ok"
    assert server.application.messages == ["ab"]

    http.send("POST", polling_url(client.sid), headers=expecting | {"content-length": "99999999"})
    assert (await http.reply()).status == 413


async def test_head(server: Running) -> None:
    """A HEAD request is refused, and its answer has no body."""
    http = await Http.connect(server.port)
    http.writer.write(b"HEAD /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: a\r\n\r\n" + REFUSED)
    async with asyncio.timeout(DEADLINE):
        assert (await http.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert (await http.reply()).status == 400


async def test_absolute_targets(server: Running) -> None:
    """A target may be a whole URL (RFC 9112, 3.2.2)."""
    http = await Http.connect(server.port)
    http.send("GET", "http://localhost" + polling_url())
    assert (await http.reply()).status == 200


async def test_many_requests_and_no_reading(server: Running) -> None:
    """Who asks and does not read is not read either: little waits in the server, and nothing is lost."""
    http = await Http.connect(server.port)
    (connection,) = server.state.connections
    transport = connection.transport
    at_a_time, count = 500, 0
    while not transport.get_write_buffer_size():
        http.writer.write(REFUSED * at_a_time)
        count += at_a_time
        await asyncio.sleep(0)
    stuck = len(server.refused)
    for _ in range(100):
        http.writer.write(REFUSED * at_a_time)
        count += at_a_time
        for _ in range(20):
            await asyncio.sleep(0)
    # Pieces that had been read already may be judged, none after them.
    assert len(server.refused) < stuck + 20 * at_a_time
    assert transport.get_write_buffer_size() < 1_000_000
    for _ in range(count):
        assert (await http.reply()).status == 400
    assert len(server.refused) == count


async def test_a_fault_of_ours(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered 500 and logged as ours, not called the client's."""
    client = await Poller.open(server.port)
    monkeypatch.setattr(polling, "split_payload", lambda body: 1 / 0)
    with caplog.at_level(logging.ERROR):
        assert (await client.post("4a")).status == 500
    assert "a polling request failed" in caplog.text
    await eventually(lambda: len(server.state.connections) == 0)
