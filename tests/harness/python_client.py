"""The python-socketio client, its handlers written with exactly one parameter, as users write them."""

import asyncio
from typing import Any

import aiohttp
import socketio

from tests.harness.clients import NAMESPACE, Client, RefusedError
from tests.harness.inbox import PATIENCE
from tests.harness.users import User

BROADCASTS = (
    "user:online",
    "user:offline",
    "user:status-changed",
    "user:joined",
    "user:left",
    "user:typing",
    "room:joined",
    "room:left",
    "room:online-update",
    "room:info",
    "message:new",
    "message:sent",
    "message:delivered",
    "message:read",
    "connection:recovery-token",
    "connection:recovered",
    "connection:queued-messages",
    "users:online",
)
"""The document's list."""


class PythonClient(Client):
    """An `AsyncClient`; `transports` None means its default, polling and then an upgrade."""

    def __init__(self, user: User, url: str, transports: list[str] | None = None) -> None:
        super().__init__(user, url)
        self._transports = transports
        self._namespace = NAMESPACE
        self._http: aiohttp.ClientSession | None = None
        self._client = socketio.AsyncClient(reconnection=False)

    async def connect(self, token: str | None = None, **options: Any) -> None:
        """Connect, and keep the refusal's text and data."""
        self._namespace = options.get("namespace", NAMESPACE)
        await self.disconnect()
        self.inbox.forget()
        self._http = aiohttp.ClientSession()
        self._client = socketio.AsyncClient(reconnection=False, http_session=self._http)
        self._listen()
        auth = options.get("auth", {"token": token or self.user.token()})
        try:
            await self._client.connect(
                self.url + options.get("query", ""),
                auth=auth,
                headers=options.get("headers", {}),
                transports=self._transports,
                namespaces=[self._namespace],
                wait_timeout=PATIENCE,
            )
        except socketio.exceptions.ConnectionError as error:
            await self._close_http()
            refusals = self.inbox.seen("$connect_error")
            if refusals and isinstance(refusals[-1], dict):
                raise RefusedError(refusals[-1].get("message", ""), refusals[-1].get("data")) from None
            raise RefusedError(str(error), None) from None
        self.sid = self._client.get_sid(self._namespace) or ""

    async def emit(self, event: str, *args: Any) -> None:
        """Send without a callback."""
        await self._client.emit(event, args, namespace=self._namespace)

    async def call(self, event: str, *args: Any, timeout: float = PATIENCE) -> list[Any]:
        """Send with a callback."""
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

        def callback(*values: Any) -> None:
            answered.set_result(list(values))

        await self._client.emit(event, args, namespace=self._namespace, callback=callback)
        try:
            return await asyncio.wait_for(answered, timeout)
        except TimeoutError:
            raise AssertionError(f"{event} was not answered in {timeout:g} s") from None

    async def disconnect(self) -> None:
        """Close, and give the sockets back."""
        if self._client.connected:
            await self._client.disconnect()
        await self._close_http()

    @property
    def transport(self) -> str:
        """The transport in use now."""
        return str(self._client.transport())

    async def _close_http(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    def _listen(self) -> None:
        """A handler with one parameter for each documented event, and one for all others."""
        for name in BROADCASTS:
            self._client.on(name, self._handler(name), namespace=self._namespace)

        async def other(event: str, data: Any) -> None:
            self.inbox.add(event, [data])

        async def connected() -> None:
            self.inbox.add("$connect", [])

        async def disconnected(reason: str) -> None:
            self.inbox.add("$disconnect", [reason])

        async def refused(data: Any) -> None:
            self.inbox.add("$connect_error", [data])

        self._client.on("*", other, namespace=self._namespace)
        self._client.on("connect", connected, namespace=self._namespace)
        self._client.on("disconnect", disconnected, namespace=self._namespace)
        self._client.on("connect_error", refused, namespace=self._namespace)

    def _handler(self, name: str) -> Any:
        async def handle(data: Any) -> None:
            self.inbox.add(name, [data])

        return handle
