"""Two engines that pass requests on to each other: polls, POSTs and WebSockets of a session elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network

import pytest
from uvicorn.server import ServerState

from hubbub.engineio import Engine, prepare_text
from hubbub.engineio.closing import SERVER_SHUTDOWN
from hubbub.engineio.dialling import dial
from hubbub.engineio.greeting import MAGIC, REPLY
from hubbub.engineio.nodes import node_of
from tests.engineio.harness import (
    CONFIG,
    DEADLINE,
    TEXT,
    Http,
    Poller,
    Recorder,
    Socket,
    eventually,
    polling_url,
    request,
    running,
    served_by_uvicorn,
    websocket_url,
    wind_down,
)

NEAR, FAR = "near", "far"


@dataclass
class Spot:
    host: str
    port: int
    key: bytes


@dataclass
class Known:
    """The nodes as one of them knows them."""

    name: str
    spots: dict[str, Spot]
    asked: list[str] = field(default_factory=list)

    async def find(self, name: str) -> Spot | None:
        self.asked.append(name)
        return self.spots.get(name)


@dataclass
class Node:
    """One engine with both its doors."""

    engine: Engine
    application: Recorder
    known: Known
    port: int
    inner: asyncio.Server
    state: ServerState


@asynccontextmanager
async def node(name: str, spots: dict[str, Spot], **changes: object) -> AsyncIterator[Node]:
    """Serve an engine that knows of others."""
    application, known = Recorder(), Known(name, spots)
    engine = Engine(replace(CONFIG, **changes), application, nodes=known)  # type: ignore[arg-type]
    settings = served_by_uvicorn(engine)
    state = ServerState()

    def make_http(app_state: dict[str, object]) -> asyncio.Protocol:
        made: asyncio.Protocol = settings.http_protocol_class(  # type: ignore[call-arg]
            config=settings, server_state=state, app_state=app_state
        )
        return made

    loop = asyncio.get_running_loop()
    key = name.encode() * 4
    outer = await loop.create_server(lambda: make_http({}), "127.0.0.1", 0)
    inner = await loop.create_server(partial(engine.answering, key, make_http), "127.0.0.1", 0)
    spots[name] = Spot("127.0.0.1", inner.sockets[0].getsockname()[1], key)
    try:
        yield Node(engine, application, known, outer.sockets[0].getsockname()[1], inner, state)
    finally:
        await wind_down(engine, state, outer, inner)


@asynccontextmanager
async def pair(**changes: object) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes: clients come to the first, sessions are on the second."""
    spots: dict[str, Spot] = {}
    async with AsyncExitStack() as stack:
        near = await stack.enter_async_context(node(NEAR, spots, **changes))
        yield near, await stack.enter_async_context(node(FAR, spots, **changes))


async def astray(near: Node, far: Node) -> Poller:
    """A polling client whose session is on the other node than its requests go to."""
    client = await Poller.open(far.port)
    client.port = near.port
    return client


async def passed_on(known: Known, peer: str, request: str) -> bytes:
    """The first line that the other node answers to a request passed on as `peer`'s."""
    there = await dial(known, FAR, peer)
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    there.set_protocol(protocol)
    protocol.connection_made(there)
    there.write(f"{request}connection: close\r\n\r\n".encode())
    line = await reader.readline()
    await reader.read()
    there.abort()
    return line


async def test_the_id_names_the_node() -> None:
    """Only where there are several."""
    async with pair() as (_, far):
        client = await Poller.open(far.port)
        assert node_of(client.sid) == FAR
        assert len(client.sid) >= len(FAR) + 1 + 22
    async with running() as alone:
        assert node_of((await Poller.open(alone.port)).sid) == ""


async def test_polls_and_posts() -> None:
    """Answered as if the session were here, over any node, with the headers of the session's node."""
    async with pair() as (near, far):
        client = await astray(near, far)
        reply = await client.post("4héllo\x1e4again")
        assert (reply.status, reply.text) == (200, "ok")
        poll = await client.get()
        assert poll.text == "4héllo\x1e4again"
        assert poll.headers["content-type"] == "text/plain; charset=UTF-8"
        assert poll.headers["cache-control"] == "no-store"
        held = await client.start_get()
        await eventually(lambda: far.application.sessions[0].wire.polling)  # type: ignore[attr-defined]
        far.application.sessions[0].send(prepare_text("later"))
        assert (await held.reply()).text == "4later"
        held.close()
        assert len(near.engine.sessions) == 0
        await client.post("1")
        await eventually(lambda: far.application.reasons == ["transport close"])


async def test_a_post_in_chunks() -> None:
    """A body of unknown length arrives whole."""
    async with pair() as (near, far):
        client = await astray(near, far)
        http = await Http.connect(near.port)
        http.writer.write(
            f"POST {polling_url(client.sid)} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            "2\r\n4a\r\n3\r\nbcd\r\n0\r\n\r\n".encode()
        )
        assert (await http.reply()).text == "ok"
        assert far.application.messages == ["abcd"]


async def test_upgrade() -> None:
    """A polling session becomes a WebSocket over another node, and nothing is lost on the way."""
    async with pair() as (near, far):
        client = await astray(near, far)
        socket = await Socket.upgrade(near.port, client.sid)
        assert socket.answer.status == 101
        socket.send("2probe")
        assert await socket.text() == "3probe"
        far.application.sessions[0].send(prepare_text("between"))
        await client.get()
        socket.send("5")
        assert await socket.echoes()
        assert await socket.echoes("x" * 100_000)
        assert len(near.engine.relay or ()) == 1
        far.application.sessions[0].close()
        assert await socket.close_code() is not None
        socket.close()
        await eventually(lambda: not len(near.engine.relay or ()))
        await eventually(lambda: not near.engine.sessions.sockets and not far.engine.sessions.sockets)


async def test_a_client_that_goes_away() -> None:
    """Its session ends at once, whichever way it was connected."""
    async with pair() as (near, far):
        polling, upgraded = await astray(near, far), await astray(near, far)
        poll = await polling.start_get()
        socket = await Socket.upgrade(near.port, upgraded.sid)
        socket.send("2probe")
        await socket.text()
        socket.send("5")
        assert await socket.echoes()
        await eventually(lambda: far.application.sessions[0].wire.polling)  # type: ignore[attr-defined]
        poll.abort()
        socket.http.abort()
        await eventually(lambda: far.application.reasons == ["transport close"] * 2)


@pytest.mark.parametrize("name", ["nobody", "far..", "", "127.0.0.1:80", "x" * 2000])
async def test_names_of_nobody(name: str) -> None:
    """What an unknown session is answered, on both transports; only names are ever looked up."""
    async with pair() as (near, _):
        sid = f"{name}.AAAAAAAAAAAAAAAAAAAAAA"
        for method in ("GET", "POST"):
            reply = await request(near.port, method, polling_url(sid), b"4a" if method == "POST" else b"")
            assert (reply.status, reply.text) == (400, '{"code":1,"message":"Session ID unknown"}')
        socket = await Socket.connect(near.port, websocket_url(sid))
        assert socket.answer.status == 400


async def test_a_session_that_the_other_does_not_have() -> None:
    """The other node says so."""
    async with pair() as (near, _):
        sid = f"{FAR}.AAAAAAAAAAAAAAAAAAAAAA"
        assert (await request(near.port, "GET", polling_url(sid))).status == 400
        assert (await Socket.connect(near.port, websocket_url(sid))).answer.status == 400


async def test_a_node_that_is_gone() -> None:
    """As an unknown session, at once."""
    async with pair() as (near, far):
        client = await astray(near, far)
        far.inner.close()
        assert (await client.get()).status == 400
        assert (await Socket.upgrade(near.port, client.sid)).answer.status == 400
        assert near.engine.relay is not None
        assert near.engine.relay.failed == 2


async def test_a_node_that_dies_with_a_poll() -> None:
    """The client whose poll is held there is told, and begins anew."""
    async with pair() as (near, far):
        client = await astray(near, far)
        poll = await client.start_get()
        await eventually(lambda: far.application.sessions[0].wire.polling)  # type: ignore[attr-defined]
        for connection in list(far.state.connections):
            connection.transport.abort()
        assert (await poll.reply()).status == 400


async def test_a_node_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and says nothing: given up after a moment."""
    monkeypatch.setattr("hubbub.engineio.dialling._TIMEOUT", 0.2)
    async with pair() as (near, _):
        left = asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            left.set()

        mute = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        near.known.spots[FAR] = Spot("127.0.0.1", mute.sockets[0].getsockname()[1], b"k")
        assert (await request(near.port, "GET", polling_url(f"{FAR}.A"))).status == 400
        await asyncio.wait_for(left.wait(), DEADLINE)
        mute.close()


async def test_another_process_at_the_place() -> None:
    """One without the node's key learns nothing of the request."""
    async with pair() as (near, far):
        near.known.spots[FAR].key = b"another"
        with pytest.raises(ConnectionRefusedError):
            await dial(near.known, FAR, "127.0.0.1")
        client = Poller(near.port, f"{FAR}.A")
        assert (await client.get()).status == 400
        assert far.state.total_requests == 0


async def test_never_twice() -> None:
    """What was passed on is not passed on again, whatever its id says."""
    async with pair() as (near, far):
        request = f"GET {polling_url('near.A')} HTTP/1.1\r\nhost: x\r\n"
        assert b" 400 " in await passed_on(near.known, "127.0.0.1", request)
        assert far.known.asked == []


async def test_strangers_at_the_inner_door() -> None:
    """No HTTP without the key: neither at once, nor after a proof that is none, nor one used before."""
    async with pair() as (_, far):
        port = far.inner.sockets[0].getsockname()[1]
        for said in (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", MAGIC + b"n" * 16 + b"\x01x" + b"p" * 32):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            async with asyncio.timeout(DEADLINE):
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(REPLY + 1)
            writer.close()
        assert far.state.total_requests == 0


@pytest.mark.parametrize(("peer", "address"), [("127.0.0.9", "192.0.2.7"), ("192.0.2.9", "192.0.2.9")])
async def test_the_clients_address(peer: str, address: str) -> None:
    """The session's node sees the client's address, and what a proxy says if it is trusted."""
    async with pair(trusted_proxies=(ip_network("127.0.0.0/8"),), max_silent_sessions=5) as (near, far):
        request = f"GET {polling_url()} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 1.2.3.4, 192.0.2.7\r\n"
        assert b" 200 " in await passed_on(near.known, peer, request)
        assert far.application.sessions[0].handshake.address == address


async def test_origins_hold() -> None:
    """Judged at both doors, and the page may read the answer that was passed on."""
    async with pair(allowed_origins=frozenset(("https://good.example",))) as (near, far):
        client = await astray(near, far)
        bad = await client.post("4a", {"origin": "https://bad.example"})
        assert bad.status == 403
        good = await client.post("4a", {"origin": "https://good.example"})
        assert good.headers["access-control-allow-origin"] == "https://good.example"
        assert far.application.messages == ["a"]


async def test_sizes_hold() -> None:
    """A body beyond `max_payload` ends the session, over another node too."""
    async with pair(max_payload=10_000) as (near, far):
        client = await astray(near, far)
        assert (await client.post("4" + "x" * 20_000)).status in (400, 413)
        await eventually(lambda: far.application.reasons != [])
        assert far.application.messages == []


async def test_a_client_that_does_not_read() -> None:
    """What it does not take waits at the session, where it is bounded, and not on the way."""
    async with pair(max_outbox_bytes=1_000_000) as (near, far):
        client = await astray(near, far)
        socket = await Socket.upgrade(near.port, client.sid)
        socket.send("2probe")
        await socket.text()
        socket.send("5")
        assert await socket.echoes()
        socket.http.writer.transport.pause_reading()  # type: ignore[attr-defined]
        session = far.application.sessions[0]

        def full() -> bool:
            session.send(prepare_text("x" * 100_000))
            return bool(far.application.reasons)

        await eventually(full)
        assert far.application.reasons == ["slow reader"]


async def test_closing() -> None:
    """A node that stops dismisses those whose sessions are elsewhere; they come back over another."""
    async with pair() as (near, far):
        client = await astray(near, far)
        socket = await Socket.upgrade(near.port, client.sid)
        socket.send("2probe")
        assert await socket.text() == "3probe"
        poll = await (await astray(near, far)).start_get()
        await eventually(lambda: far.application.sessions[1].wire.polling)  # type: ignore[attr-defined]
        closing = asyncio.create_task(near.engine.close_all(timeout=60.0))
        assert await socket.close_code() == SERVER_SHUTDOWN.code
        assert not closing.done()
        socket.http.close()
        await asyncio.wait_for(closing, DEADLINE)
        assert (await poll.reply()).status == 503
        assert (await client.get()).status == 503
        assert (await Socket.upgrade(near.port, client.sid)).answer.status == 503
        assert near.engine.relay is not None
        assert near.engine.relay.failed == 0


async def test_closing_amid_a_frame() -> None:
    """A client whose session is elsewhere is dismissed behind the frame that is on its way to it."""
    async with pair() as (near, far):
        client = await astray(near, far)
        socket = await Socket.upgrade(near.port, client.sid)
        socket.send("2probe")
        await socket.text()
        socket.send("5")
        assert await socket.echoes()
        relay = near.engine.relay
        assert relay is not None
        (pipe,) = relay._pipes
        pipe._there.data_received(b"\x81\x05hal")
        closing = asyncio.create_task(near.engine.close_all(timeout=60.0))
        await asyncio.sleep(0)
        pipe._there.data_received(b"lo\x81\x04late")
        assert await socket.frame() == (TEXT, b"hallo")
        assert await socket.close_code() == SERVER_SHUTDOWN.code
        socket.http.close()
        await asyncio.wait_for(closing, DEADLINE)
