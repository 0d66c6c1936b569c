"""Stand-ins for what is below and above a Socket.IO server, and ways to wait for it."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from hubbub.engineio import CloseReason, EngineConfig, Flusher, Handshake, Prepared, Session
from hubbub.socketio import Ack, Namespace, Server, ServerConfig, Socket, Welcome
from hubbub.socketio.connection import Connection


async def eventually(condition: Callable[[], object], timeout: float = 5.0) -> None:
    """Wait until the condition holds; fails after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is waited for is somebody else's state
            await asyncio.sleep(0.002)


class FakeSession:
    """An engine session that keeps what it is told: `sent`, `reason`, `reading`."""

    def __init__(self, address: str = "192.0.2.1", flusher: Flusher | None = None) -> None:
        self.flusher = flusher or Flusher()
        self.handshake = Handshake(address, "websocket", 0.0)
        self.app: object = None
        # Never empty: whatever is sent to many of them comes by `send_all`.
        self.outbox: tuple[None, ...] = (None,)
        self.sent: list[str | bytes] = []
        self.reason: CloseReason | None = None
        self.reading = True
        self.idle_frames = 0

    def send(self, packet: Prepared) -> None:
        self.flusher.spread()
        self._keep(packet)

    def send_all(self, packets: tuple[Prepared, ...], size: int) -> None:
        assert size == sum(packet.size for packet in packets)
        for packet in packets:
            self._keep(packet)

    def _keep(self, packet: Prepared) -> None:
        if self.reason is None:
            wire = packet.packet.decode()
            self.sent.append(wire[1:] if wire.startswith("4") else base64.b64decode(wire[1:]))

    def count_idle_frame(self) -> None:
        self.idle_frames += 1

    def close(self, reason: CloseReason) -> None:
        self.reason = self.reason or reason

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def take(self) -> list[str | bytes]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


class Recorder:
    """An application that keeps its calls in `calls` and does what it was given to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.sockets: list[Socket] = []
        self.on_connect: Callable[[Socket, Mapping[str, object]], Awaitable[Welcome]] | None = None
        self.on_event: Callable[[Socket, str, list[object]], Awaitable[Ack]] | None = None

    async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
        self.calls.append(("connect", dict(auth)))
        return Welcome() if self.on_connect is None else await self.on_connect(socket, auth)

    def connected(self, socket: Socket) -> None:
        self.calls.append(("connected",))
        self.sockets.append(socket)

    async def event(self, socket: Socket, name: str, args: list[object]) -> Ack:
        self.calls.append(("event", name, args))
        return args if self.on_event is None else await self.on_event(socket, name, args)

    def ping_sent(self, socket: Socket) -> None:
        self.calls.append(("ping_sent",))

    def pong(self, socket: Socket) -> None:
        self.calls.append(("pong",))

    def disconnected(self, socket: Socket, reason: str) -> None:
        self.calls.append(("disconnected", reason))

    def count(self, kind: str) -> int:
        """How many calls of one kind there were."""
        return sum(call[0] == kind for call in self.calls)

    def names(self) -> list[object]:
        """The names of the events so far."""
        return [call[1] for call in self.calls if call[0] == "event"]


class Client:
    """A client on a fake session of a server whose engine does not run."""

    def __init__(self, server: Server) -> None:
        self.session = FakeSession(flusher=server.engine.flusher)
        self._events = server.engine.sessions.application
        self._events.opened(self._real)

    @property
    def _real(self) -> Session:
        return cast("Session", self.session)

    @property
    def connection(self) -> Connection:
        """What the server keeps for the session."""
        return cast("Connection", self.session.app)

    def say(self, *messages: str | bytes) -> None:
        """Send messages, in one turn."""
        for message in messages:
            if self.session.reason is None:
                self._events.message(self._real, message)

    async def enter(self, packet: str = "0") -> str:
        """Send a CONNECT; returns the answer."""
        self.say(packet)
        await eventually(lambda: self.session.sent)
        return cast("str", self.session.take()[0])

    def beat(self) -> None:
        """A heartbeat and its answer."""
        self._events.ping_sent(self._real)
        self._events.pong(self._real)

    def vanish(self, reason: CloseReason) -> None:
        """The session ends."""
        self.session.close(reason)
        self._events.closed(self._real, reason)


def make_server(
    namespaces: Mapping[str, Namespace], *, connect_timeout: float = 10.0, attachment_timeout: float = 10.0
) -> Server:
    """A server with deadlines of its own."""
    return Server(
        ServerConfig(EngineConfig(), connect_timeout, attachment_timeout),
        namespaces,
    )
