"""Hostile HTTP requests: each is answered as the protocol says, harms nobody else and leaves nothing behind.

Numbers in the ids count through the project's catalogue of hostile inputs.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.engineio.harness import (
    Http,
    Poller,
    Running,
    Socket,
    eventually,
    polling_url,
    request,
    running,
)

MAX_PAYLOAD = 1000


@pytest_asyncio.fixture
async def server(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Running]:
    """A server with a bystander, who must be unharmed; no traceback may be logged."""
    caplog.set_level(logging.INFO)
    async with running(max_payload=MAX_PAYLOAD) as server:
        bystander = await Socket.open(server.port)
        yield server
        assert await bystander.echoes()
        bystander.leave()
    assert [record for record in caplog.records if record.exc_info] == []


UPGRADE = {"upgrade": "websocket", "connection": "Upgrade"}
HANDSHAKES = {
    "1-no-version": ("GET", "/engine.io/?transport=polling", 400),
    "1-bad-version": ("GET", "/engine.io/?EIO=abc&transport=polling", 400),
    "1-old-version": ("GET", "/engine.io/?EIO=3&transport=polling", 400),
    "1-digit-version": ("GET", "/engine.io/?EIO=%D9%A4&transport=polling", 400),
    "2-no-transport": ("GET", "/engine.io/?EIO=4", 400),
    "2-unknown-transport": ("GET", "/engine.io/?EIO=4&transport=abc", 400),
    "2-proto": ("GET", "/engine.io/?EIO=4&transport=__proto__", 400),
    "2-constructor": ("GET", "/engine.io/?EIO=4&transport=constructor", 400),
    "2-webtransport": ("GET", "/engine.io/?EIO=4&transport=webtransport", 400),
    "3-two-versions": ("GET", "/engine.io/?EIO=4&EIO=4&transport=polling", 400),
    "3-two-transports": ("GET", "/engine.io/?EIO=4&transport=polling&transport=websocket", 400),
    "3-many-fields": ("GET", polling_url() + "".join(f"&x{n}=1" for n in range(40)), 400),
    "4-post": ("POST", polling_url(), 400),
    "4-put": ("PUT", polling_url(), 400),
    "4-delete": ("DELETE", polling_url(), 400),
    "4-patch": ("PATCH", polling_url(), 400),
    "5-unknown-sid": ("GET", polling_url("nobody"), 400),
    "5-unknown-sid-post": ("POST", polling_url("nobody"), 400),
    "5-empty-sid": ("GET", "/engine.io/?EIO=4&transport=polling&sid=", 400),
    "6-sid-not-ascii": ("GET", polling_url("%C3%A9"), 400),
    "6-sid-not-utf8": ("GET", polling_url("%ff"), 400),
    "6-sid-too-long": ("GET", polling_url("x" * 4096), 414),
    "14-websocket-without-upgrade": ("GET", "/engine.io/?EIO=4&transport=websocket", 400),
    "22-jsonp": ("GET", polling_url() + "&j=0", 400),
    "26-double-slash": ("GET", polling_url(path="//engine.io/"), 404),
    "26-encoded-dot": ("GET", polling_url(path="/engine%2eio/"), 404),
    "26-dots": ("GET", polling_url(path="/engine.io/../engine.io/"), 404),
    "26-below": ("GET", polling_url(path="/engine.io/x"), 404),
    "26-other": ("GET", polling_url(path="/"), 404),
}


@pytest.mark.parametrize(("method", "target", "status"), HANDSHAKES.values(), ids=HANDSHAKES.keys())
async def test_bad_handshakes(server: Running, method: str, target: str, status: int) -> None:
    """Refused with a JSON body, told to the listener, and no session is opened."""
    reply = await request(server.port, method, target)
    assert reply.status == status
    assert reply.headers["cache-control"] == "no-store"
    assert b'"message"' in reply.body
    assert len(server.engine.sessions) == 1
    assert len(server.refused) == 1


async def test_endless_sid(server: Running) -> None:
    """A request line without end is refused by the HTTP protocol, before it is looked at (6)."""
    assert (await request(server.port, "GET", polling_url("x" * 65_536))).status == 414


async def test_guessing_sids(server: Running) -> None:
    """Every wrong sid gets the same answer (7)."""
    replies = [await request(server.port, "GET", polling_url(secrets.token_urlsafe(16))) for _ in range(20)]
    assert {(reply.status, reply.body) for reply in replies} == {(400, replies[0].body)}


BODIES = {
    "16-too-big": (b"4" + b"x" * MAX_PAYLOAD, {}, 413),
    "20-gzip": (b"\x1f\x8b", {"content-encoding": "gzip"}, 415),
    "21-octet-stream": (b"4x", {"content-type": "application/octet-stream"}, 400),
    "22-jsonp-body": (b"d=4x", {"content-type": "application/x-www-form-urlencoded"}, 400),
    "23-not-utf8": (b"4\xff", {}, 400),
    "27-empty-payload": (b"", {}, 400),
    "28-empty-packet": (b"4a\x1e\x1e4b", {}, 400),
    "28-trailing-separator": (b"4a\x1e", {}, 400),
    "29-type-7": (b"7", {}, 400),
    "29-type-9": (b"9", {}, 400),
    "29-type-a": (b"abc", {}, 400),
    "29-type-superscript": ("²".encode(), {}, 400),
    "31-open": (b"0", {}, 400),
    "31-noop": (b"6", {}, 400),
    "32-ping": (b"2", {}, 400),
    "32-probe": (b"2probe", {}, 400),
    "34-not-base64": (b"b!!!!", {}, 400),
    "34-bad-padding": (b"bAQ", {}, 400),
    "36-upgrade": (b"5", {}, 400),
}


@pytest.mark.parametrize(("body", "headers", "status"), BODIES.values(), ids=BODIES.keys())
async def test_bad_bodies(server: Running, body: bytes, headers: dict[str, str], status: int) -> None:
    """A POST that the protocol does not allow ends its session, and the held GET is let go."""
    client = await Poller.open(server.port)
    poll = await client.start_get()
    await eventually(lambda: server.engine.sessions.get(client.sid).wire.polling)  # type: ignore[union-attr]
    assert (await client.post(body, headers)).status == status
    # What came before the bad packet may have been echoed; the last packet is CLOSE.
    assert (await poll.reply()).text.split("\x1e")[-1] == "1"
    assert (await client.get()).status == 400
    assert len(server.application.ended) == 1


@pytest.mark.parametrize(
    ("size", "status"), [(MAX_PAYLOAD - 1, 200), (MAX_PAYLOAD, 200), (MAX_PAYLOAD + 1, 413)]
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_body_limit(server: Running, size: int, status: int, chunked: bool) -> None:
    """Exactly `max_payload` bytes pass, announced or not; more is refused while it comes in (16)."""
    client = await Poller.open(server.port)
    body = b"4" + b"x" * (size - 1)
    http = await Http.connect(server.port)
    if chunked:
        http.send(
            "POST", polling_url(client.sid), b"", {"transfer-encoding": "chunked", "content-length": ""}
        )
        http.close()
        http = await Http.connect(server.port)
        head = f"POST {polling_url(client.sid)} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        http.writer.write(head.encode() + b"%x\r\n" % size + body + b"\r\n0\r\n\r\n")
    else:
        http.send("POST", polling_url(client.sid), body)
    assert (await http.reply()).status == status
    http.close()


async def test_endless_chunked_body(server: Running) -> None:
    """A body without end is refused as soon as it is too long, and the connection is closed (16)."""
    client = await Poller.open(server.port)
    http = await Http.connect(server.port)
    head = f"POST {polling_url(client.sid)} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    http.writer.write(head.encode())
    for _ in range(3):
        http.writer.write(b"200\r\n" + b"4" * 512 + b"\r\n")
    assert (await http.reply()).status == 413
    assert await http.reader.read() == b""


HEAD = "POST {} HTTP/1.1\r\nhost: x\r\n"
SMUGGLING = {
    "17-negative-length": "content-length: -1\r\n\r\n",
    "17-lengths-differ": "content-length: 1\r\ncontent-length: 2\r\n\r\n4",
    "17-length-not-digits": "content-length: 1_0\r\n\r\n4",
    "18-length-and-chunked": "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "18-unknown-coding": "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "19-bad-chunk-size": "transfer-encoding: chunked\r\n\r\nzz\r\n4\r\n0\r\n\r\n",
    "19-bad-chunk-end": "transfer-encoding: chunked\r\n\r\n1\r\n4xx0\r\n\r\n",
    "19-bare-newline": "transfer-encoding: chunked\r\n\r\n1\n4\n0\n\n",
}


@pytest.mark.parametrize("rest", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_smuggling(server: Running, rest: str) -> None:
    """What could be read in two ways is answered 400 and the connection closed; no message gets through."""
    client = await Poller.open(server.port)
    http = await Http.connect(server.port)
    http.writer.write((HEAD.format(polling_url(client.sid)) + rest).encode())
    assert (await http.reply()).status == 400
    assert await http.reader.read() == b""
    assert server.application.messages == []


async def test_body_shorter_than_announced(server: Running) -> None:
    """A client that goes away in the middle of its POST ends its session; nothing of the body counts (17)."""
    client = await Poller.open(server.port)
    http = await Http.connect(server.port)
    http.writer.write((HEAD.format(polling_url(client.sid)) + "content-length: 9\r\n\r\n4half").encode())
    await eventually(lambda: server.engine.sessions.get(client.sid).posting)  # type: ignore[union-attr]
    http.abort()
    await eventually(lambda: len(server.application.ended) == 1)
    assert server.application.messages == []


async def test_two_gets_at_once(server: Running) -> None:
    """The first GET is let go with CLOSE, the second is answered 400, the session is closed (9)."""
    client = await Poller.open(server.port)
    first = await client.start_get()
    await eventually(lambda: server.engine.sessions.get(client.sid).wire.polling)  # type: ignore[union-attr]
    assert (await client.get()).status == 400
    assert (await first.reply()).text == "1"
    assert (await client.get()).status == 400
    assert server.application.reasons == ["transport error"]


async def test_two_posts_at_once(server: Running) -> None:
    """The second POST is answered 400 and the session is closed; the first one's body does not count (10)."""
    client = await Poller.open(server.port)
    first = await Http.connect(server.port)
    first.writer.write((HEAD.format(polling_url(client.sid)) + "content-length: 9\r\n\r\n4half").encode())
    await eventually(lambda: server.engine.sessions.get(client.sid).posting)  # type: ignore[union-attr]
    assert (await client.post("4x")).status == 400
    assert (await client.get()).status == 400
    first.writer.write(b"over")
    await first.reply()
    assert server.application.messages == []


async def test_aborted_get(server: Running) -> None:
    """A client that cancels its poll has left (11)."""
    client = await Poller.open(server.port)
    poll = await client.start_get()
    await eventually(lambda: server.engine.sessions.get(client.sid).wire.polling)  # type: ignore[union-attr]
    poll.abort()
    await eventually(lambda: server.application.reasons == ["transport close"])
    assert (await client.get()).status == 400


@pytest.mark.parametrize("count", [17, 200, 5000])
async def test_many_small_packets_in_one_payload(count: int) -> None:
    """Payloads are bounded in bytes, not packets: a stock client sends a burst of events in one body (30)."""
    async with running() as server:
        client = await Poller.open(server.port)
        messages = [str(n) for n in range(count)]
        assert (await client.post("\x1e".join("4" + message for message in messages))).text == "ok"
        assert server.application.messages == messages
        echoed: list[str] = []
        while len(echoed) < count:
            packets = (await client.get()).text.split("\x1e")
            assert len(packets) <= 16, "more than stock Python clients take"
            echoed += packets
        assert echoed == ["4" + message for message in messages]


async def test_packets_after_close(server: Running) -> None:
    """Whatever follows a CLOSE packet in the same payload is ignored (39)."""
    client = await Poller.open(server.port)
    poll = await client.start_get()
    await eventually(lambda: server.engine.sessions.get(client.sid).wire.polling)  # type: ignore[union-attr]
    assert (await client.post("1\x1e4late\x1enonsense")).text == "ok"
    assert (await poll.reply()).text == "6"
    assert server.application.messages == []


async def test_pipelined_gets(server: Running) -> None:
    """Requests in a row on one connection are one after the other, so the second poll does not overlap."""
    client = await Poller.open(server.port)
    http = await Http.connect(server.port)
    await client.post("4a")
    http.send("GET", polling_url(client.sid))
    http.send("GET", polling_url(client.sid))
    assert (await http.reply()).text == "4a"
    await client.post("4b")
    assert (await http.reply()).text == "4b"
    http.close()


async def test_refusals_while_connections_are_reset(server: Running) -> None:
    """Hundreds of refused upgrades whose client is gone before the answer harm nobody."""
    for _ in range(200):
        http = await Http.connect(server.port)
        http.send(
            "GET",
            "/engine.io/?EIO=9&transport=websocket",
            headers={"upgrade": "websocket", "connection": "Upgrade"},
        )
        http.abort()
    await eventually(lambda: len(server.state.connections) <= 1)


@pytest.mark.parametrize("limit", ["max_silent_sessions", "max_silent_sessions_per_address"])
async def test_silent_sessions_are_capped(limit: str) -> None:
    """Handshakes that nobody follows up are refused beyond a number; those who talk do not count (100)."""
    limits: Any = {limit: 3}
    async with running(**limits) as server:
        clients = [await Poller.open(server.port) for _ in range(3)]
        assert (await request(server.port, "GET", polling_url())).status == 503
        refused = await Socket.connect(server.port)
        assert refused.answer.status == 503
        await clients[0].post("4hello")
        newcomer = await Poller.open(server.port)
        assert (await newcomer.post("1")).status == 200
        await Poller.open(server.port)


async def test_sessions_per_address_are_capped() -> None:
    """One address holds no more sessions than allowed, and gets its places back."""
    async with running(max_sessions_per_address=2) as server:
        clients = [await Socket.open(server.port) for _ in range(2)]
        assert (await request(server.port, "GET", polling_url())).status == 503
        clients[0].leave()
        await eventually(lambda: len(server.engine.sessions) == 1)
        await Poller.open(server.port)
        assert server.refused[0][0] == "127.0.0.1"
        assert server.refused[0][2] == "Too many sessions"


@pytest.mark.parametrize("sent", [b"", b"GET /eng", b"GET /engine.io/ HTTP/1.1\r\nhost: x\r\nx-a: b\r\n"])
async def test_slow_heads(sent: bytes) -> None:
    """A request head that is never completed is given up, however it drips (96)."""
    async with running(header_timeout=0.2) as server:
        http = await Http.connect(server.port)
        http.writer.write(sent)
        # What comes first is read at once: bytes that cross the end of the connection would reset it.
        answer = asyncio.create_task(http.reader.read(1024))
        while not answer.done():
            if sent:
                http.writer.write(b"x")
            await asyncio.sleep(0.02)
        assert b" 408 " in await answer
        await eventually(lambda: server.idle)


async def test_slow_bodies() -> None:
    """A body that is never completed is given up, and with it the session (97)."""
    async with running(body_timeout=0.2) as server:
        client = await Poller.open(server.port)
        http = await Http.connect(server.port)
        http.writer.write((HEAD.format(polling_url(client.sid)) + "content-length: 99\r\n\r\n4").encode())
        assert b"408" in await http.reader.read()
        await eventually(lambda: server.application.reasons == ["transport close"])
        await eventually(lambda: server.idle)


async def test_endless_head() -> None:
    """A head without end is refused before it fills the memory."""
    async with running() as server:
        http = await Http.connect(server.port)
        http.writer.write(b"GET /engine.io/ HTTP/1.1\r\n")
        for _ in range(12):
            http.writer.write(b"x-filler: " + b"x" * 8000 + b"\r\n")
        assert b"431" in await http.reader.read()
        await eventually(lambda: server.idle)


@pytest.mark.parametrize("listening", [True, False])
async def test_keep_alive_connections_are_reused(listening: bool) -> None:
    """Deadlines are each request's own: a connection may serve many, with pauses between them."""
    async with running(header_timeout=0.1, body_timeout=0.1) as server:
        http = await Http.connect(server.port)
        for _ in range(3):
            http.send("GET", polling_url())
            assert (await http.reply()).status == 200
            if listening:
                await asyncio.sleep(0.25)
        http.close()
