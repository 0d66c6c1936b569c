"""Everything a test needs of one server: users, chats and connected clients, all cleared up at its end."""

import asyncio
from typing import Any

from tests.harness.clients import Client
from tests.harness.node_client import NodeClient, NodeHost
from tests.harness.python_client import PythonClient
from tests.harness.raw_client import RawSocket
from tests.harness.rest import Rest
from tests.harness.servers import Server
from tests.harness.users import User, new_user

NPM_DEFAULT = "npm, default options"
NPM_POLLING = "npm, polling only"
NPM_WEBSOCKET = "npm, WebSocket only"
PYTHON = "python-socketio"
PYTHON_POLLING = "python-socketio, polling only"
PYTHON_WEBSOCKET = "python-socketio, WebSocket only"

NPM_MODES = {NPM_DEFAULT: None, NPM_POLLING: ["polling"], NPM_WEBSOCKET: ["websocket"]}
PYTHON_MODES = {PYTHON: None, PYTHON_POLLING: ["polling"], PYTHON_WEBSOCKET: ["websocket"]}


class World:
    """One server as its users see it. `node` runs the npm clients."""

    def __init__(self, server: Server, node: NodeHost) -> None:
        self.server = server
        self.rest = Rest(server.url)
        self.node = node
        self._clients: list[Client | RawSocket] = []

    def client(self, user: User | None = None, mode: str = PYTHON_WEBSOCKET) -> Client:
        """A client that has not connected yet."""
        user = user or new_user()
        if mode in NPM_MODES:
            return self.npm(user, mode)
        client = PythonClient(user, self.server.url, PYTHON_MODES[mode])
        self._clients.append(client)
        return client

    def npm(self, user: User | None = None, mode: str = NPM_DEFAULT) -> NodeClient:
        """An npm client that has not connected yet."""
        client = NodeClient(user or new_user(), self.server.url, self.node, NPM_MODES[mode])
        self._clients.append(client)
        return client

    def raw(self) -> RawSocket:
        """A bare WebSocket that has not been opened yet."""
        socket = RawSocket(self.server.url)
        self._clients.append(socket)
        return socket

    async def connect(self, user: User | None = None, mode: str = PYTHON_WEBSOCKET) -> Client:
        """A connected client."""
        client = self.client(user, mode)
        await client.connect()
        return client

    async def connect_all(self, *users: User, mode: str = PYTHON_WEBSOCKET) -> list[Client]:
        """A connected client for each user."""
        return list(await asyncio.gather(*(self.connect(user, mode) for user in users)))

    async def chat_of(self, *users: User, **fields: Any) -> str:
        """A new chat; the first user made it, the others are members."""
        return await self.rest.chat(*users, **fields)

    async def room_of(
        self, *users: User, mode: str = PYTHON_WEBSOCKET, **fields: Any
    ) -> tuple[str, list[Client]]:
        """A new chat of these users, and a client of each in its room, all noise of entering forgotten."""
        chat_id = await self.chat_of(*users, **fields)
        clients = await self.connect_all(*users, mode=mode)
        for client in clients:
            await client.join(chat_id)
        for client in clients:
            await client.wait("room:online-update", chatId=chat_id, count=len(users))
        for client in clients:
            client.forget()
        return chat_id, clients

    async def close(self) -> None:
        """Let all clients go."""
        closing = (
            client.close() if isinstance(client, RawSocket) else client.disconnect()
            for client in self._clients
        )
        await asyncio.gather(*closing)
        await self.rest.close()
