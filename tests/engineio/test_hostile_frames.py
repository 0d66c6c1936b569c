"""Hostile WebSocket clients: each ends at most its own session, with the close code RFC 6455 gives for it.

Numbers in the ids count through the project's catalogue of hostile inputs.
"""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hubbub.engineio import closing, prepare_text
from hubbub.engineio.frames import MAX_FRAGMENTS
from hubbub.engineio.session import IDLE_FRAMES
from tests.engineio.harness import (
    BINARY,
    CLOSE_FRAME,
    DEADLINE,
    PING_FRAME,
    PONG_FRAME,
    TEXT,
    Running,
    Socket,
    eventually,
    frame,
    running,
    websocket_url,
)

MAX_PAYLOAD = 1000


@pytest_asyncio.fixture
async def server(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Running]:
    """A server with a bystander, who must be unharmed; afterwards nothing is left and nothing was logged."""
    caplog.set_level(logging.INFO)
    async with running(max_payload=MAX_PAYLOAD) as server:
        bystander = await Socket.open(server.port)
        yield server
        assert await bystander.echoes()
        bystander.leave()
        bystander.close()
        await eventually(lambda: server.idle)
    assert caplog.records == []


FRAMES = {
    "85-rsv1": (frame(TEXT, b"4x", rsv=4), 1002),
    "85-rsv2": (frame(TEXT, b"4x", rsv=2), 1002),
    "85-rsv3": (frame(TEXT, b"4x", rsv=1), 1002),
    "86-unmasked": (frame(TEXT, b"4x", mask=False), 1002),
    "87-reserved-data-opcode": (frame(3, b"4x"), 1002),
    "87-reserved-control-opcode": (frame(11, b"4x"), 1002),
    "88-fragmented-ping": (frame(PING_FRAME, b"x", fin=False), 1002),
    "88-oversized-ping": (frame(PING_FRAME, b"x" * 126), 1002),
    "88-oversized-close": (frame(CLOSE_FRAME, struct.pack("!H", 1000) + b"x" * 124), 1002),
    "89-orphan-continuation": (frame(0, b"4x"), 1002),
    "89-text-within-a-message": (frame(TEXT, b"4x", fin=False) + frame(TEXT, b"4y"), 1002),
    "90-length-of-2-to-63": (b"\x81\xff" + struct.pack("!Q", 2**63) + b"\0\0\0\0", 1009),
    "90-length-of-4-gib": (b"\x82\xff" + struct.pack("!Q", 2**32) + b"\0\0\0\0", 1009),
    "90-message-over-the-limit": (frame(TEXT, b"4" * (MAX_PAYLOAD + 1)), 1009),
    "90-fragments-over-the-limit": (
        frame(TEXT, b"4" * 600, fin=False) + frame(0, b"4" * 600, fin=False),
        1009,
    ),
    "91-not-utf8": (frame(TEXT, b"4\xff"), 1007),
    "91-surrogate": (frame(TEXT, b"4\xed\xa0\x80"), 1007),
    "91-cut-off": (frame(TEXT, "4€".encode()[:-1]), 1007),
    "92-deflated": (frame(TEXT, b"\xf2H\xcd\xc9\xc9\x07\x00", rsv=4), 1002),
    "95-close-code-1005": (frame(CLOSE_FRAME, struct.pack("!H", 1005)), 1002),
    "95-close-code-999": (frame(CLOSE_FRAME, struct.pack("!H", 999)), 1002),
    "95-close-of-one-byte": (frame(CLOSE_FRAME, b"\3"), 1002),
    "95-close-reason-not-utf8": (frame(CLOSE_FRAME, struct.pack("!H", 1000) + b"\xff"), 1007),
    "28-empty-packet": (frame(TEXT, b""), 1002),
    "29-type-7": (frame(TEXT, b"7"), 1002),
    "29-type-9": (frame(TEXT, b"9"), 1002),
    "29-type-a": (frame(TEXT, b"abc"), 1002),
    "29-type-superscript": (frame(TEXT, "²".encode()), 1002),
    "31-open": (frame(TEXT, b"0{}"), 1002),
    "31-noop": (frame(TEXT, b"6"), 1002),
    "32-ping": (frame(TEXT, b"2"), 1002),
    "32-probe": (frame(TEXT, b"2probe"), 1002),
    "34-not-base64": (frame(TEXT, b"b!!!!"), 1002),
    "36-upgrade": (frame(TEXT, b"5"), 1002),
}


@pytest.mark.parametrize(("data", "code"), FRAMES.values(), ids=FRAMES.keys())
async def test_bad_frames(server: Running, data: bytes, code: int) -> None:
    """The connection is closed with the code for it; what comes behind does not count."""
    client = await Socket.open(server.port)
    client.write(data + frame(TEXT, b"4late"))
    assert await client.close_code() == code
    client.close()
    await eventually(lambda: len(server.application.ended) == 1)
    assert server.application.messages == []


@pytest.mark.parametrize("cut", [1, 2, 5, 8])
async def test_bad_frames_in_pieces(server: Running, cut: int) -> None:
    """It does not matter how the bytes arrive."""
    client = await Socket.open(server.port)

    async def trickle(data: bytes) -> None:
        for start in range(0, len(data), cut):
            client.write(data[start : start + cut])
            await asyncio.sleep(0)

    await trickle(frame(TEXT, b"4fine"))
    assert await client.text() == "4fine"
    await trickle(frame(TEXT, b"4x", rsv=4))
    assert await client.close_code() == 1002
    client.close()


@pytest.mark.parametrize(
    ("size", "code"), [(MAX_PAYLOAD - 1, None), (MAX_PAYLOAD, None), (MAX_PAYLOAD + 1, 1009)]
)
@pytest.mark.parametrize("parts", [1, 3])
async def test_message_limit(server: Running, size: int, code: int | None, parts: int) -> None:
    """Exactly `max_payload` bytes pass, whole or in fragments."""
    client = await Socket.open(server.port)
    data = b"4" + b"x" * (size - 1)
    step = -(-size // parts)
    pieces = [data[start : start + step] for start in range(0, size, step)]
    for number, piece in enumerate(pieces):
        client.write(frame(TEXT if number == 0 else 0, piece, fin=number == len(pieces) - 1))
    if code is None:
        assert await client.text() == data.decode()
        client.leave()
    assert await client.close_code() == (code or 1000)
    client.close()


async def test_split_characters(server: Running) -> None:
    """A character may be cut by a fragment's end; the whole message is what must be UTF-8 (91)."""
    client = await Socket.open(server.port)
    data = "4€uro".encode()
    client.write(frame(TEXT, data[:2], fin=False) + frame(PING_FRAME, b"between") + frame(0, data[2:]))
    assert await client.frame() == (PONG_FRAME, b"between")
    assert await client.text() == "4€uro"
    client.write(frame(BINARY, b"\xe2", fin=False) + frame(0, b"\xff"))
    assert await client.frame() == (BINARY, b"\xe2\xff")
    client.leave()
    await client.close_code()
    client.close()


@pytest.mark.parametrize("payload", [b"", b"x"], ids=["empty", "tiny"])
async def test_endless_fragments(payload: bytes) -> None:
    """Fragments are counted, since the size limit does not end empty ones (93)."""
    async with running() as server:
        client = await Socket.open(server.port)
        client.write(frame(TEXT, b"4", fin=False) + frame(0, payload, fin=False) * (MAX_FRAGMENTS - 1))
        client.write(frame(PING_FRAME))
        assert await client.frame() == (PONG_FRAME, b"")
        client.write(frame(0, payload, fin=False) * 2)
        assert await client.close_code() == 1008
        client.close()
        await eventually(lambda: server.idle)


@pytest.mark.parametrize("opcode", [PING_FRAME, PONG_FRAME])
async def test_floods_of_pings_and_pongs(server: Running, opcode: int) -> None:
    """As many as no honest client sends do no harm, more are refused; pings are answered (33, 94)."""
    client = await Socket.open(server.port)
    client.write(frame(opcode) * IDLE_FRAMES)
    answered = 0
    while opcode == PING_FRAME and answered < IDLE_FRAMES:
        assert await client.frame() == (PONG_FRAME, b"")
        answered += 1
    assert await client.echoes()
    tasks = len(asyncio.all_tasks())
    client.write(frame(opcode))
    assert await client.close_code() == 1008
    assert len(asyncio.all_tasks()) <= tasks
    client.close()


async def test_pings_of_a_client_that_does_not_read() -> None:
    """Pongs for a client that does not read them are left out, not piled up (94, 98)."""
    async with running() as server:
        client = await Socket.open(server.port)
        client.http.writer.transport.pause_reading()  # type: ignore[attr-defined]
        session = server.application.sessions[0]
        session.send(prepare_text("x" * 20_000_000))
        backlogs = [0]
        while session.backlog != backlogs[-1] or not session.backlog:
            backlogs.append(session.backlog)
            await asyncio.sleep(0.02)
        client.write(frame(PING_FRAME, b"x" * 125) * 5000)
        await eventually(lambda: session._idle_frames == 5000)
        assert 0 < session.backlog <= backlogs[-1]


async def test_data_for_a_session_that_is_over() -> None:
    """What a client sends after its session was closed is dropped, also when reading had been paused."""
    async with running(close_timeout=60.0) as server:
        client = await Socket.open(server.port)
        session = server.application.sessions[0]
        session.pause_reading()
        session.close(closing.FORCED_CLOSE)
        assert await client.close_code() == 1000
        client.write(frame(TEXT, b"4" + b"x" * 60_000) * 10 + frame(CLOSE_FRAME, struct.pack("!H", 1000)))
        async with asyncio.timeout(DEADLINE):
            assert await client.http.reader.read() == b""
        assert server.application.messages == []
        client.close()
        await eventually(lambda: server.idle)


async def test_a_client_that_does_not_read() -> None:
    """Its backlog is bounded; past the bound it is closed with a reason, and nothing of it is kept (98)."""
    async with running(max_outbox_bytes=500_000, close_timeout=0.2) as server:
        client = await Socket.open(server.port)
        bystander = await Socket.open(server.port)
        client.http.writer.transport.pause_reading()  # type: ignore[attr-defined]
        session = server.application.sessions[0]
        highest = 0
        while not session.closed:
            session.send(prepare_text("x" * 50_000))
            highest = max(highest, session.backlog)
            await asyncio.sleep(0)
        assert highest < 5_000_000
        await eventually(lambda: server.application.ended == [(session, closing.SLOW_READER)])
        assert await bystander.echoes()
        # It does not even read the close, so the connection is cut.
        await eventually(lambda: len(server.state.connections) == 1)


async def test_half_open_connections() -> None:
    """A client that is gone without a word times out (99)."""
    async with running(ping_interval=0.1, ping_timeout=0.1) as server:
        client = await Socket.open(server.port)
        assert await client.frame() == (TEXT, b"2")
        assert await client.close_code() == 1011
        assert server.application.reasons == ["ping timeout"]
        # It never answers the close either.
        await eventually(lambda: server.idle)


async def test_text_after_close(server: Running) -> None:
    """What follows a CLOSE packet is ignored (39)."""
    client = await Socket.open(server.port)
    client.write(frame(TEXT, b"1") + frame(TEXT, b"4late") + frame(TEXT, b"nonsense"))
    assert await client.close_code() == 1000
    assert server.application.reasons == ["transport close"]
    assert server.application.messages == []
    client.close()


HANDSHAKES = {
    "1-no-version": ("/engine.io/?transport=websocket", {}, 400),
    "2-no-transport": ("/engine.io/?EIO=4", {}, 400),
    "2-polling": ("/engine.io/?EIO=4&transport=polling", {}, 400),
    "2-proto": ("/engine.io/?EIO=4&transport=__proto__", {}, 400),
    "5-unknown-sid": (websocket_url("nobody"), {}, 400),
    "15-no-key": (websocket_url(), {"sec-websocket-key": ""}, 400),
    "15-short-key": (websocket_url(), {"sec-websocket-key": "AAAA"}, 400),
    "15-key-not-base64": (websocket_url(), {"sec-websocket-key": "!" * 24}, 400),
    "15-key-not-ascii": (websocket_url(), {"sec-websocket-key": "é" * 24}, 400),
    "15-old-version": (websocket_url(), {"sec-websocket-version": "8"}, 426),
    "15-two-versions": (websocket_url(), {"sec-websocket-version": "13, 8"}, 426),
    "26-other-path": ("/other/?EIO=4&transport=websocket", {}, 404),
    "26-double-slash": ("//engine.io/?EIO=4&transport=websocket", {}, 404),
}


@pytest.mark.parametrize(("target", "headers", "status"), HANDSHAKES.values(), ids=HANDSHAKES.keys())
async def test_bad_handshakes(server: Running, target: str, headers: dict[str, str], status: int) -> None:
    """Refused before the upgrade, told to the listener; the connection is closed."""
    client = await Socket.connect(server.port, target, headers)
    assert client.answer.status == status
    assert ("sec-websocket-version" in client.answer.headers) is (status == 426)
    assert await client.http.reader.read() == b""
    assert len(server.refused) == 1


async def test_no_extension_is_negotiated(server: Running) -> None:
    """Compression is never agreed on, so a compressed frame is an error and no bomb can be inflated (92)."""
    offer = {"sec-websocket-extensions": "permessage-deflate; client_max_window_bits"}
    client = await Socket.connect(server.port, headers=offer)
    assert client.answer.status == 101
    assert "sec-websocket-extensions" not in client.answer.headers
    client.leave()
    client.close()
