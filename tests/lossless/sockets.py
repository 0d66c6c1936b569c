"""A Socket.IO client of the tests' own in the namespace `/chat`, which sees every packet in its place."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

from tests.harness.clients import NAMESPACE, Json
from tests.lossless.links import OPENING, Link, LinkLost, Transport

T = TypeVar("T")
Answered = Callable[[Json], None]


class Refused(Exception):
    """CONNECT was refused, with this data."""


class Socket:
    """One connection: `heard` gets each event's name and arguments, `beat` is called at each PING."""

    def __init__(self, url: str, heard: Callable[[str, list[Any]], None], beat: Callable[[], None]) -> None:
        self._heard = heard
        self._link = Link(url, self._take, beat)
        self._greeting: asyncio.Future[tuple[bool, Json]] = asyncio.get_running_loop().create_future()
        self._greeted: Answered = lambda facts: None
        self._acks = 0
        self._waiting: dict[int, tuple[asyncio.Future[Json], Answered | None]] = {}

    @property
    def lost(self) -> asyncio.Event:
        """Set once the connection is over."""
        return self._link.lost

    async def connect(self, transport: Transport, auth: Json, greeted: Answered) -> None:
        """Enter the namespace; `greeted` is called with the welcome (`sid` and perhaps `pid`) before any
        later packet is looked at. Raises LinkLost, Refused, TimeoutError.
        """
        await self._link.open(transport)
        self._greeted = greeted
        self._link.send(f"40{NAMESPACE},{json.dumps(auth)}")
        welcome, facts = await self._await(self._greeting, OPENING)
        if not welcome:
            raise Refused(facts)

    async def request(
        self, event: str, payload: Json, timeout: float, answered: Answered | None = None
    ) -> Json:
        """The answer to a request; `answered` is called with it before any later packet is looked at.

        Raises LinkLost, TimeoutError.
        """
        if self.lost.is_set():
            raise LinkLost(self._link.reason)
        self._acks += 1
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[self._acks] = (future, answered)
        self._link.send(f"42{NAMESPACE},{self._acks}{json.dumps([event, payload])}")
        return await self._await(future, timeout)

    async def close(self, reason: str) -> str:
        """End it; the reason that it was over for, this one or an earlier one."""
        await self._link.close(reason)
        return self._link.reason

    async def _await(self, future: "asyncio.Future[T]", timeout: float) -> T:
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wait((future, lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
        if not future.done():
            raise LinkLost(self._link.reason)
        return future.result()

    def _take(self, packet: str) -> None:
        kind, body = packet[:1], packet[1:].removeprefix(f"{NAMESPACE},")
        if kind == "2":
            name, *args = json.loads(body)
            self._heard(name, args)
        elif kind == "3":
            number, _, rest = body.partition("[")
            future, answered = self._waiting.pop(int(number))
            answer = json.loads(f"[{rest}")[0]
            if answered is not None:
                answered(answer)
            if not future.done():
                future.set_result(answer)
        elif kind == "1":
            self._link.lose("disconnected by the server")
        elif not self._greeting.done():
            self._greet(kind == "0", json.loads(body))

    def _greet(self, welcome: bool, facts: Json) -> None:
        self._greeting.set_result((welcome, facts))
        if welcome:
            self._greeted(facts)
