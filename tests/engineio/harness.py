"""What the engine's tests share: a real server on an ephemeral port, raw clients, a recording application."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar

import uvicorn
from uvicorn.server import ServerState

from hubbub.engineio import CloseReason, Engine, EngineConfig, Session, prepare_binary, prepare_text
from hubbub.engineio.packets import CLOSE, MESSAGE, PONG

DEADLINE = 5.0
CONFIG = EngineConfig(path="/engine.io/", close_timeout=0.5)


class Recorder:
    """An application that keeps all it is told, and echoes messages when `echo` is set."""

    def __init__(self, *, echo: bool = True) -> None:
        self.echo = echo
        self.sessions: list[Session] = []
        self.messages: list[str | bytes] = []
        self.pings = 0
        self.pongs = 0
        self.ended: list[tuple[Session, CloseReason]] = []

    def opened(self, session: Session) -> None:
        self.sessions.append(session)

    def message(self, session: Session, data: str | bytes) -> None:
        self.messages.append(data)
        if self.echo:
            session.send(prepare_text(data) if isinstance(data, str) else prepare_binary(data))

    def ping_sent(self, session: Session) -> None:
        self.pings += 1

    def pong(self, session: Session) -> None:
        self.pongs += 1

    def closed(self, session: Session, reason: CloseReason) -> None:
        self.ended.append((session, reason))

    @property
    def reasons(self) -> list[str]:
        return [reason.name for _, reason in self.ended]


@dataclass
class Running:
    """A server under test."""

    engine: Engine
    application: Recorder
    port: int
    state: ServerState
    refused: list[tuple[str, str, str]]

    @property
    def idle(self) -> bool:
        """Whether nothing of any client is left."""
        engine = self.engine
        return not (
            len(engine.sessions) or engine.sessions.sockets or len(engine.timers) or self.state.connections
        )


def served_by_uvicorn(engine: Engine) -> uvicorn.Config:
    """What uvicorn's own start-up makes of an engine."""
    settings = uvicorn.Config(
        engine,
        http=engine.http,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        log_config=None,
    )
    settings.load()
    return settings


@asynccontextmanager
async def running(
    config: EngineConfig = CONFIG, application: Recorder | None = None, **changes: object
) -> AsyncIterator[Running]:
    """Serve an engine the way uvicorn's own start-up does, on 127.0.0.1."""
    application = application or Recorder()
    refused: list[tuple[str, str, str]] = []
    engine = Engine(replace(config, **changes), application, lambda *why: refused.append(why))  # type: ignore[arg-type]
    settings = served_by_uvicorn(engine)
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: settings.http_protocol_class(config=settings, server_state=state, app_state={}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    try:
        yield Running(engine, application, server.sockets[0].getsockname()[1], state, refused)
    finally:
        await wind_down(engine, state, server)


async def wind_down(engine: Engine, state: ServerState, *servers: asyncio.Server) -> None:
    """End everything, whatever a test has left open."""
    for server in servers:
        server.close()
    for client in Http.connected:
        client.abort()
    Http.connected.clear()
    await engine.close_all(timeout=0.02)
    for connection in list(state.connections):
        connection.shutdown()
    engine.timers.close()
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=DEADLINE)


async def eventually(condition: Callable[[], bool], within: float = DEADLINE) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # the condition is the server's state, which tells nobody
            await asyncio.sleep(0.002)


@dataclass
class Reply:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Http:
    """One HTTP connection, written to by hand. `running` closes those that a test leaves open."""

    connected: ClassVar[list["Http"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> "Http":
        http = cls(*await asyncio.open_connection("127.0.0.1", port))
        cls.connected.append(http)
        return http

    def send(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Write one request; the headers given replace or add to what every request has."""
        fields = {"host": "localhost", "content-length": str(len(body))} | dict(headers or {})
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    async def reply(self) -> Reply:
        """Read one answer."""
        async with asyncio.timeout(DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Reply(int(status_line.split(" ")[1]), headers, body)

    def close(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()


async def request(
    port: int, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Reply:
    """One request on a connection of its own."""
    http = await Http.connect(port)
    try:
        http.send(method, target, body, headers)
        return await http.reply()
    finally:
        http.close()


def polling_url(sid: str = "", path: str = "/engine.io/") -> str:
    """The target of a polling request."""
    return f"{path}?EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")


def websocket_url(sid: str = "") -> str:
    """The target of an upgrade request."""
    return "/engine.io/?EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")


@dataclass
class Poller:
    """A polling client."""

    port: int
    sid: str

    @classmethod
    async def open(cls, port: int) -> "Poller":
        reply = await request(port, "GET", polling_url())
        assert reply.status == 200, reply
        return cls(port, reply.text.split('"sid":"')[1].split('"')[0])

    async def get(self) -> Reply:
        return await request(self.port, "GET", polling_url(self.sid))

    async def post(self, body: bytes | str, headers: Mapping[str, str] | None = None) -> Reply:
        data = body.encode() if isinstance(body, str) else body
        return await request(self.port, "POST", polling_url(self.sid), data, headers)

    async def start_get(self) -> Http:
        """A GET whose answer is read later."""
        http = await Http.connect(self.port)
        http.send("GET", polling_url(self.sid))
        return http


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """A client's WebSocket frame (masked with zeros, which changes no byte), or a broken one."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if mask else 0
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    return head + (b"\0\0\0\0" if mask else b"") + payload


TEXT, BINARY, CLOSE_FRAME, PING_FRAME, PONG_FRAME = 1, 2, 8, 9, 10


@dataclass
class Socket:
    """A WebSocket client, by hand. `sid` is set when the server opened a session for it."""

    http: Http
    sid: str = ""
    answer: Reply = field(default_factory=lambda: Reply(0, {}, b""))

    @classmethod
    async def connect(
        cls, port: int, target: str | None = None, headers: Mapping[str, str] | None = None
    ) -> "Socket":
        """Ask for an upgrade; `answer.status` tells whether it was granted."""
        http = await Http.connect(port)
        fields = {
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version": "13",
        }
        http.send("GET", websocket_url() if target is None else target, headers=fields | dict(headers or {}))
        socket = cls(http)
        socket.answer = await http.reply()
        return socket

    @classmethod
    async def open(cls, port: int) -> "Socket":
        """Open a session over WebSocket only."""
        socket = await cls.connect(port)
        assert socket.answer.status == 101, socket.answer
        socket.sid = (await socket.text()).split('"sid":"')[1].split('"')[0]
        return socket

    @classmethod
    async def upgrade(cls, port: int, sid: str) -> "Socket":
        """Connect as the candidate of a polling session."""
        return await cls.connect(port, websocket_url(sid))

    def write(self, data: bytes) -> None:
        self.http.writer.write(data)

    def send(self, packet: str | bytes) -> None:
        """Send one packet as one frame."""
        self.write(frame(TEXT, packet.encode()) if isinstance(packet, str) else frame(BINARY, packet))

    async def frame(self) -> tuple[int, bytes]:
        """Read one frame: opcode and payload."""
        reader = self.http.reader
        async with asyncio.timeout(DEADLINE):
            first, length = await reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await reader.readexactly(8))
            return first & 15, await reader.readexactly(length)

    async def text(self) -> str:
        """Read one text packet, answering heartbeats."""
        while True:
            opcode, payload = await self.frame()
            assert opcode == TEXT, (opcode, payload)
            if payload != b"2":
                return payload.decode()
            self.send(PONG)

    async def close_code(self) -> int | None:
        """Read until the server closes; its close code, or None when it hung up without one."""
        try:
            while True:
                opcode, payload = await self.frame()
                if opcode == CLOSE_FRAME:
                    return int(struct.unpack("!H", payload[:2])[0])
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def echoes(self, text: str = "still here") -> bool:
        """Whether the session works."""
        self.send(MESSAGE + text)
        return await self.text() == MESSAGE + text

    def leave(self) -> None:
        """Close the session as a client does."""
        self.send(CLOSE)

    def close(self) -> None:
        self.http.close()
