"""Servers that behave as the official protocol suites expect.

`python tests/protocol/echo.py --layer engineio|socketio --port N` listens on the loopback addresses, IPv4 and
IPv6 where there is one (Node resolves `localhost` to either), and prints `listening on http://127.0.0.1:PORT`.
"""

import argparse
import asyncio
import importlib
import socket

import uvicorn

from hubbub.engineio import (
    CloseReason,
    Engine,
    EngineConfig,
    Session,
    prepare_binary,
    prepare_text,
)

PING_INTERVAL = 0.3
PING_TIMEOUT = 0.2
MAX_PAYLOAD = 1_000_000


class Echo:
    """Sends each message back."""

    def opened(self, session: Session) -> None:
        """Nothing to say yet."""

    def message(self, session: Session, data: str | bytes) -> None:
        """Send it back as it came."""
        session.send(prepare_text(data) if isinstance(data, str) else prepare_binary(data))

    def ping_sent(self, session: Session) -> None:
        """Heartbeats are the engine's business."""

    def pong(self, session: Session) -> None:
        """As above."""

    def closed(self, session: Session, reason: CloseReason) -> None:
        """Nothing was kept."""


class EchoServer(uvicorn.Server):
    """Uvicorn, telling when it can be connected to and closing sessions before it waits for connections."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if sockets:
            print(f"listening on http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the sessions, then stop."""
        await self._engine.close_all(timeout=1.0)
        await super().shutdown(sockets)


def loopback_sockets(port: int) -> list[socket.socket]:
    """Bind the port on 127.0.0.1 and, where it exists, on ::1."""
    sockets = [_bind(socket.AF_INET, "127.0.0.1", port)]
    try:
        sockets.append(_bind(socket.AF_INET6, "::1", sockets[0].getsockname()[1]))
    except OSError:
        print("no IPv6 loopback: listening on IPv4 only", flush=True)
    return sockets


def serve(engine: Engine, port: int) -> None:
    """Run an engine until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        engine,
        http=engine.http,
        ws="none",
        log_level="warning",
        lifespan="off",
        proxy_headers=False,
    )
    server = EchoServer(config, engine)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(loopback_sockets(port)))


def run(port: int) -> None:
    """The Engine.IO layer."""
    config = EngineConfig(
        path="/engine.io/", ping_interval=PING_INTERVAL, ping_timeout=PING_TIMEOUT, max_payload=MAX_PAYLOAD
    )
    serve(Engine(config, Echo()), port)


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", choices=("engineio", "socketio"), required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    if options.layer == "engineio":
        run(options.port)
    else:
        serve(importlib.import_module("echo_socketio").build().engine, options.port)


if __name__ == "__main__":
    main()
