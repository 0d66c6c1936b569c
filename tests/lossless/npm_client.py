"""The stock JavaScript client, left to reconnect and recover by itself."""

import asyncio
from contextlib import suppress
from typing import Any

from tests.harness.clients import Json, RefusedError
from tests.harness.inbox import Inbox
from tests.harness.node_client import NodeClient, NodeHost
from tests.lossless.clients import Desk, Role, Session
from tests.lossless.links import LinkLost
from tests.lossless.sockets import Answered

SOON = {"reconnectionDelay": 50, "reconnectionDelayMax": 400, "timeout": 2000}


class Tap(Inbox):
    """Hands events on, and keeps those of the client's own life only."""

    def __init__(self, session: "NpmSession") -> None:
        super().__init__()
        self._session = session

    def add(self, name: str, args: list[Any]) -> None:
        """Called for each event in its order."""
        self._session.heard(name, args)
        if name.startswith("$"):
            super().add(name, args)


class NpmSession(Session):
    """`connect` and `disconnect` happen to it; after each `connect` it gets itself back into its rooms."""

    def __init__(
        self, desk: Desk, role: Role, url: str, host: NodeHost, transports: list[str] | None
    ) -> None:
        super().__init__(desk, role, url)
        self._client = NodeClient(role.user, url, host, transports)
        self._client.inbox = Tap(self)
        self._connected = asyncio.Event()
        self._gone = asyncio.Event()
        self._continued = False
        self._has_offset = False

    async def run(self) -> None:
        """Be there. When a connection cannot be made good use of, begin anew with another client."""
        try:
            while True:
                self._has_offset = False
                with suppress(LinkLost, TimeoutError, AssertionError, RefusedError):
                    await self._client.connect(manager=SOON)
                    await self._live()
                if self._connected.is_set():
                    self._disconnected("given up by the client")
                await asyncio.sleep(0.1)
        finally:
            await self._client.disconnect()

    async def _live(self) -> None:
        while True:
            await self._connected.wait()
            gone = self._gone
            try:
                await self.arrive(continued=self._continued)
            except LinkLost:
                if not gone.is_set():
                    raise
            await gone.wait()

    def heard(self, name: str, args: list[Any]) -> None:
        """Called for each event of the client."""
        if name == "$connect":
            self._continued = args[0]["recovered"]
            self.opened(continued=self._continued, by_offset=self._has_offset)
            self._gone = asyncio.Event()
            self._connected.set()
        elif name == "$disconnect":
            self._disconnected(args[0])
        elif not name.startswith("$"):
            self._has_offset = self._has_offset or name == "message:new"
            self.told(name, args[0])

    def _disconnected(self, why: str) -> None:
        self._connected.clear()
        self._gone.set()
        self.closed(why)

    async def request(
        self, event: str, payload: Json, timeout: float, answered: Answered | None = None
    ) -> Json:
        """A request; lost when the client disconnects before the answer."""
        if not self._connected.is_set():
            raise LinkLost("not connected")
        heard = None if answered is None else lambda args: answered(args[0])
        call = asyncio.ensure_future(self._client.call(event, payload, timeout=timeout, heard=heard))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((call, gone), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise LinkLost("disconnected")
            answer: Json = call.result()[0]
            return answer
        except AssertionError:
            raise TimeoutError from None
        finally:
            gone.cancel()
            call.cancel()
