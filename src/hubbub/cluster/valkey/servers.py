"""Which server to talk to: the one of the URL, the sentinels' master, or a cluster's for each key."""

import asyncio
import logging
import ssl
from binascii import crc_hqx
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hubbub.cluster.address import Address
from hubbub.cluster.valkey.line import Command, Line, LineLost, Reply, ReplyError, first_error

log = logging.getLogger(__name__)

_SLOTS: Final = 16384
_CONNECT: Final = 2.0
"""Seconds that making a connection may take."""


class Unreachable(Exception):
    """No server can be talked to. The message is one line and tells no password."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens: a host and port, or a socket's path."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class Servers:
    """Finds servers and makes connections to them. `name` is what they show of this client."""

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._name = name
        self._tls = ssl.create_default_context() if address.tls else None
        # First slots and the servers that hold those from there on; one for everything outside of a cluster.
        self._slots: list[tuple[int, Endpoint]] = []
        self._finding: asyncio.Task[None] | None = None

    async def place(self, key: str) -> Endpoint:
        """Return the server that holds a key. Raises `Unreachable`."""
        if not self._slots:
            if self._finding is None:
                self._finding = asyncio.create_task(self._find())
            finding = self._finding
            try:
                await asyncio.shield(finding)
            finally:
                if finding.done() and self._finding is finding:
                    self._finding = None
        return self.place_known(key)

    def place_known(self, key: str) -> Endpoint:
        """Return the same without asking; only to be called as long as the servers are known."""
        slot = key_slot(key)
        return next(endpoint for first, endpoint in reversed(self._slots) if first <= slot)

    def all_known(self) -> set[Endpoint]:
        """Return all servers, as far as they are known."""
        return {endpoint for _, endpoint in self._slots}

    def doubt(self) -> None:
        """Have the servers found anew: one was lost, or said that it is not the one to ask."""
        self._slots = []

    async def connect(
        self,
        endpoint: Endpoint,
        receive: Callable[[Reply], None] | None = None,
        lost: Callable[[], None] | None = None,
    ) -> Line:
        """Make a connection that is ready for commands. Raises `Unreachable`."""
        address = self._address
        hello: list[Command] = [("CLIENT", "SETNAME", self._name)]
        if address.database:
            hello.insert(0, ("SELECT", address.database))
        if address.password is not None:
            name = () if address.username is None else (address.username,)
            hello.insert(0, ("AUTH", *name, address.password))
        return await self._open(endpoint, hello, receive, lost)

    async def _open(
        self,
        endpoint: Endpoint,
        hello: list[Command],
        receive: Callable[[Reply], None] | None = None,
        lost: Callable[[], None] | None = None,
    ) -> Line:
        line = Line(receive, lost)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT):
                if endpoint.path:
                    await loop.create_unix_connection(lambda: line, endpoint.path)
                else:
                    await loop.create_connection(lambda: line, endpoint.host, endpoint.port, ssl=self._tls)
                refused = first_error(await line.call(hello))
        except BaseException as error:
            line.close()
            if isinstance(error, TimeoutError):
                raise Unreachable(f"{endpoint} does not answer") from None
            if isinstance(error, OSError | LineLost):
                raise Unreachable(f"{endpoint} cannot be reached: {error}") from None
            raise
        if refused is not None:
            line.close()
            raise Unreachable(f"{endpoint} refuses this client: {refused}")
        return line

    async def _find(self) -> None:
        address = self._address
        if address.kind == "unix":
            slots = [(0, Endpoint(path=address.path))]
        elif address.kind == "single":
            slots = [(0, Endpoint(*address.hosts[0]))]
        else:
            slots = await self._ask_around()
        self._slots = slots

    async def _ask_around(self) -> list[tuple[int, Endpoint]]:
        """Ask the hosts of the URL, one after the other, until one knows."""
        problem = "no host is named"
        for host, port in self._address.hosts:
            endpoint = Endpoint(host, port)
            try:
                if self._address.kind == "sentinel":
                    return [(0, await self._ask_sentinel(endpoint))]
                return await self._ask_cluster(endpoint)
            except Unreachable as error:
                problem = str(error)
        raise Unreachable(problem)

    async def _ask_sentinel(self, endpoint: Endpoint) -> Endpoint:
        question: Command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.master)
        line = await self._open(endpoint, [("PING",)])
        answer = await self._ask(line, endpoint, question)
        if answer is None:
            raise Unreachable(f"the sentinel {endpoint} knows no master called {self._address.master}")
        return Endpoint(answer[0].decode(), int(answer[1]))

    async def _ask_cluster(self, endpoint: Endpoint) -> list[tuple[int, Endpoint]]:
        line = await self.connect(endpoint)
        answer = await self._ask(line, endpoint, ("CLUSTER", "SLOTS"))
        slots = sorted(
            (first, Endpoint(_host(node[0]) or endpoint.host, node[1])) for first, _, node, *_ in answer
        )
        if not slots or slots[0][0] != 0:
            raise Unreachable(f"the cluster of {endpoint} does not serve all slots")
        return slots

    async def _ask(self, line: Line, endpoint: Endpoint, question: Command) -> Reply:
        try:
            async with asyncio.timeout(_CONNECT):
                (answer,) = await line.call([question])
        except (TimeoutError, LineLost):
            raise Unreachable(f"{endpoint} does not answer") from None
        finally:
            line.close()
        if isinstance(answer, ReplyError):
            raise Unreachable(f"{endpoint} does not tell where the servers are: {answer}")
        return answer


def _host(name: bytes | None) -> str:
    return "" if name is None or name == b"?" else name.decode()


def key_slot(key: str) -> int:
    """Return a key's slot in a cluster: that of what is between its first braces, or of all of it."""
    _, _, behind = key.partition("{")
    tag, closed, _ = behind.partition("}")
    return crc_hqx((tag if tag and closed else key).encode(), 0) % _SLOTS
