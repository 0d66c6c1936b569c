"""A client of the tests' own on any transport, which comes back in any way and sees heartbeats."""

import asyncio
import random
from contextlib import suppress
from typing import Any, Final

from tests.harness.clients import Json
from tests.lossless.clients import Desk, Role, Session, Way
from tests.lossless.history import Confirmed
from tests.lossless.links import LinkLost, Transport
from tests.lossless.sockets import Answered, Refused, Socket

SURE: Final = 3
"""Heartbeats after which the answer to an earlier one has been stored for certain."""

REJOIN: Final = 0.3
"""Seconds between attempts to enter rooms that could not be entered."""


class RawSession(Session):
    """Keeps `pid` and `offset` as the stock client does, and knows what the server must know it has."""

    def __init__(self, desk: Desk, role: Role, url: str, transport: Transport) -> None:
        super().__init__(desk, role, url)
        self._transport = transport
        self._random = random.Random(role.name)
        self._socket: Socket | None = None
        self._welcomed = False
        self._continued = False
        self._pid: str | None = None
        self._offset: str | None = None

    async def run(self) -> None:
        """Connect, be there, and connect again."""
        while True:
            with suppress(LinkLost, Refused, TimeoutError):
                await self._live()
            await asyncio.sleep(self._random.uniform(0.02, 0.3))

    async def _live(self) -> None:
        self._welcomed = False
        socket = self._socket = Socket(self.url, self._heard, self._beat)
        try:
            await socket.connect(self._transport, self._auth(), self._greeted)
            await self.arrive(continued=self._continued)
            while not socket.lost.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(socket.lost.wait(), REJOIN)
                if not socket.lost.is_set():
                    await self.enter_rooms()
        finally:
            why = await socket.close("closed by the client")
            if not self.up.is_set():
                # What was begun may be half done: better begin anew.
                self._pid = None
            if self._welcomed:
                self.closed(why)

    def _auth(self) -> Json:
        auth: Json = {"token": self.role.user.token()}
        if self.role.way is Way.STATE and self._pid is not None:
            auth["pid"] = self._pid
            if self._offset is not None:
                auth["offset"] = self._offset
        return auth

    def _greeted(self, welcome: Json) -> None:
        self._continued = self._pid is not None and welcome.get("pid") == self._pid
        self._pid = welcome.get("pid") if self.role.way is Way.STATE else None
        self._welcomed = True
        self.opened(continued=self._continued, by_offset=self._offset is not None)

    async def request(
        self, event: str, payload: Json, timeout: float, answered: Answered | None = None
    ) -> Json:
        """A request on the socket there is now."""
        if self._socket is None:
            raise LinkLost("not connected")
        return await self._socket.request(event, payload, timeout, answered)

    def _heard(self, name: str, args: list[Any]) -> None:
        if name == "message:new" and len(args) > 1:
            self._offset = args[1]
        self.told(name, args[0])

    def _beat(self) -> None:
        self.marks.append(dict(self.line))
        if len(self.marks) > SURE:
            sure = self.marks.pop(0)
            if sure != self.sure:
                self.sure = sure
                self.desk.history.add(Confirmed(self.connection, sure))
