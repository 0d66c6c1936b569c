"""A node whose names for PostgreSQL and Valkey no longer resolve: really, by files of the node's own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests import postgres
from tests.harness import own_names
from tests.harness.clients import Client
from tests.harness.inbox import eventually
from tests.harness.node_client import NodeHost
from tests.harness.servers import HUBBUB, serve
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.harness.world import World
from tests.lossless.proxy import Proxy

pytestmark = pytest.mark.timeout(180)

NAMES = "127.0.0.1 database.test valkey.test\n"
HEALED = 30.0
"""Seconds until all is well again, with the pauses between attempts."""


@dataclass(frozen=True, slots=True)
class Site:
    """A node, what it reaches by name, and the file that has the names."""

    world: World
    wires: tuple[Proxy, Proxy]
    hosts: Path

    async def is_ready(self) -> bool:
        """Whether the node says so."""
        async with aiohttp.request("GET", f"{self.world.server.url}/health/ready") as answer:
            return answer.status == 200

    async def is_unready(self) -> bool:
        """Whether it says the opposite."""
        return not await self.is_ready()

    async def cannot_hear(self) -> bool:
        """Whether it has logged that it cannot find Valkey."""
        return self.logged("the bus cannot be heard: valkey.test:")

    async def hears(self) -> bool:
        """Whether it has logged that it hears again."""
        return self.logged("the bus is heard again")

    def logged(self, words: str) -> bool:
        """Whether it has logged these words."""
        return words in self.world.server.log()


@pytest.fixture
async def site(tmp_path: Path, valkey: ValkeyServer) -> AsyncIterator[Site]:
    """A node that knows PostgreSQL and Valkey by name."""
    hosts, resolv = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text(NAMES)
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    if (reason := own_names.missing(hosts, resolv)) is not None:
        pytest.skip(reason)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(postgres.running())
        wires = await _wire(stack, server.folder / ".s.PGSQL.5432"), await _wire(stack, valkey.path)
        node = await serve(
            tmp_path,
            ("-m", "tests.harness.own_names", str(hosts), str(resolv), *HUBBUB),
            database_url=f"postgresql://postgres@database.test:{wires[0].port}/{server.create()}",
            valkey_url=f"redis://valkey.test:{wires[1].port}",
        )
        stack.push_async_callback(node.end)
        world = World(node, NodeHost())
        stack.push_async_callback(world.close)
        yield Site(world, wires, hosts)


async def _wire(stack: AsyncExitStack, target: Path) -> Proxy:
    proxy = Proxy([target])
    await proxy.start()
    stack.push_async_callback(proxy.close)
    return proxy


@asynccontextmanager
async def no_names(site: Site) -> AsyncIterator[None]:
    """Nothing resolves for the block."""
    site.hosts.write_text("")
    try:
        yield
    finally:
        site.hosts.write_text(NAMES)


async def test_no_dns(site: Site) -> None:
    """Connections that there are go on. Without them sends and reads are refused, clients stay, a readable
    line says why; when names resolve again all is well by itself.
    """
    user = new_user()
    chat, (client,) = await site.world.room_of(user)
    await client.say(chat, "one")
    pid = site.world.server.pid
    async with no_names(site):
        await client.say(chat, "two")
        for wire in site.wires:
            wire.cut_all()
        payload = {"chatId": chat, "content": "three", "clientMessageId": "3"}
        answer = await client.request("message:send", payload)
        assert (answer["success"], answer["code"]) == (False, "UNAVAILABLE")
        status, refusal = await site.world.rest.ask(user, "GET", f"/chats/{chat}/messages")
        assert (status, refusal["code"]) == (503, "UNAVAILABLE")
        await eventually(site.is_unready, HEALED, "readiness to be lost")
        assert site.logged("the database cannot be used now: [Errno"), site.world.server.log()
        await eventually(site.cannot_hear, HEALED, "a line that says why the bus is not heard")
    await eventually(lambda: is_sent(client, payload), HEALED, "a send to succeed")
    await eventually(site.is_ready, HEALED, "readiness to come back")
    await eventually(site.hears, HEALED, "the bus to be back")
    assert site.world.server.pid == pid
    read = await site.world.rest.history(user, chat)
    assert [one["content"] for one in read] == ["one", "two", "three"]


async def is_sent(client: Client, payload: dict[str, str]) -> bool:
    """Whether a message could be sent."""
    return bool((await client.request("message:send", payload))["success"])
