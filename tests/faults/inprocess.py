"""A whole server in the test's own process, so that a test can reach its parts: real sockets in front."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hubbub.app.build import Built, build
from hubbub.app.listener import bind, url_of
from hubbub.app.serve import drain, make_listener
from hubbub.settings import load_settings
from tests.harness.python_client import PythonClient
from tests.harness.raw_client import RawSocket
from tests.harness.rest import Rest
from tests.harness.servers import RATES_OFF
from tests.harness.users import SECRET, User


@dataclass(slots=True)
class House:
    """A running server, its parts, and clients of it that are closed with it."""

    url: str
    built: Built
    rest: Rest
    clients: list[PythonClient | RawSocket] = field(default_factory=list)

    async def connect(self, user: User) -> PythonClient:
        """A connected client over WebSocket."""
        client = PythonClient(user, self.url, ["websocket"])
        self.clients.append(client)
        await client.connect()
        return client

    def raw(self) -> RawSocket:
        """A bare WebSocket that has not been opened yet; to the server it is like the JavaScript client."""
        socket = RawSocket(self.url)
        self.clients.append(socket)
        return socket

    async def close(self) -> None:
        """Let all clients go."""
        for client in self.clients:
            await (client.close() if isinstance(client, RawSocket) else client.disconnect())
        await self.rest.close()


@asynccontextmanager
async def running(data_dir: Path, **given: str) -> AsyncIterator[House]:
    """A server on these data, its rates off unless given."""
    flags = {"data_dir": str(data_dir), "jwt_secret": SECRET, "port": "0", **RATES_OFF, **given}
    settings = load_settings(flags, environ={}, config=None)
    built = await build(settings)
    listener = make_listener(built)
    listening = bind("127.0.0.1", 0)
    serving = asyncio.create_task(listener.serve(listening))
    await listener.ready.wait()
    house = House(url_of(listening[0]), built, Rest(url_of(listening[0])))
    try:
        yield house
    finally:
        await house.close()
        await drain(settings, built, listener, serving)
        for socket in listening:
            socket.close()
