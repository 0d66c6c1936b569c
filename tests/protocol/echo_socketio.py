"""The Socket.IO layer of the echo server: what the official suite of protocol v5 expects."""

from collections.abc import Mapping

from hubbub.engineio import EngineConfig
from hubbub.socketio import Ack, Server, ServerConfig, Socket, Welcome


class Echo:
    """Tells each client what it authenticated with, and sends back what it says."""

    async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
        """Everybody is welcome."""
        socket.data = auth
        return Welcome()

    def connected(self, socket: Socket) -> None:
        """Say what the CONNECT packet carried."""
        socket.emit("auth", socket.data)

    async def event(self, socket: Socket, name: str, args: list[object]) -> Ack:
        """Send the arguments back, as an event or as the acknowledgement."""
        if name == "message-with-ack":
            return args
        if name == "message":
            socket.emit("message-back", *args)
        return None

    def ping_sent(self, socket: Socket) -> None:
        """Heartbeats are the engine's business."""

    def pong(self, socket: Socket) -> None:
        """As above."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        """Nothing was kept."""


def build() -> Server:
    """The server, for `echo.py` to run."""
    engine = EngineConfig(ping_interval=0.3, ping_timeout=0.2, max_payload=1_000_000)
    return Server(ServerConfig(engine=engine, connect_timeout=1.0), {"/": Echo(), "/custom": Echo()})
