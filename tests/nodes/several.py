"""Several real nodes on one PostgreSQL and one Valkey, and clients on each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from tests.harness.clients import Client
from tests.harness.inbox import eventually
from tests.harness.node_client import NodeHost
from tests.harness.servers import HUBBUB, Server, serve
from tests.harness.users import User
from tests.harness.world import World
from tests.postgres import Postgres

T = TypeVar("T")

AGAIN = 60.0
"""Seconds that nodes and clients may take to come back on a busy machine."""

TYPING_RATE = 5
"""How often a user of the shared nodes may begin or stop to type in a minute."""


class Several:
    """Nodes by number, each as its users see it."""

    def __init__(self, worlds: list[World]) -> None:
        self.worlds = worlds

    def server(self, node: int) -> Server:
        """The process of a node."""
        return self.worlds[node].server

    async def connect(self, node: int, user: User) -> Client:
        """A client of a user, connected to a node."""
        return await self.worlds[node].connect(user)

    async def chat_of(self, *users: User, **fields: Any) -> str:
        """A new chat; the first user made it, the others are members."""
        return await self.worlds[0].chat_of(*users, **fields)

    async def room_of(self, *users: User) -> tuple[str, list[Client]]:
        """A new chat and a client of each user in its room, one on each node in turn; what that has told is
        forgotten.
        """
        chat_id = await self.chat_of(*users)
        nodes = [number % len(self.worlds) for number in range(len(users))]
        clients = list(await asyncio.gather(*map(self.connect, nodes, users)))
        for client in clients:
            await client.join(chat_id)
        for client in clients:
            await client.wait("room:online-update", chatId=chat_id, count=len(set(users)))
        for client in clients:
            client.forget()
        return chat_id, clients


async def metrics_of(url: str) -> dict[str, float]:
    """What a node's `/metrics` tells."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


async def counted_alone(nodes: Several) -> float:
    """How many attempts any of the nodes has counted for the limits without the others."""
    told = await asyncio.gather(*(metrics_of(world.server.url) for world in nodes.worlds))
    return sum(metrics["hubbub_limits_alone_total"] for metrics in told)


async def counted_together(nodes: Several, attempt: Callable[[], Awaitable[T]]) -> T:
    """What an attempt gives in which the nodes have counted for the limits together all along.

    On a busy machine Valkey may answer late, for which limits are not promised: then once more.
    """

    async def once() -> tuple[T] | None:
        before = await counted_alone(nodes)
        outcome = await attempt()
        return (outcome,) if await counted_alone(nodes) == before else None

    return (await eventually(once, AGAIN, "the nodes to count together"))[0]


def before(nodes: Several, url: str) -> World:
    """The nodes as their users see them through the balancer."""
    return World(replace(nodes.server(0), url=url), NodeHost())


@asynccontextmanager
async def several(
    folder: Path,
    database: tuple[Postgres, str],
    valkey_url: str,
    count: int,
    program: Sequence[str] = HUBBUB,
    /,
    **settings: str | None,
) -> AsyncIterator[Several]:
    """So many nodes for the block, started at the same time; `database` is a server and a name there."""
    folders = [folder / f"node{number}" for number in range(count)]
    for one in folders:
        one.mkdir()
    server, name = database
    shared = {"database_url": server.url(name), "valkey_url": valkey_url, **settings}
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(*(serve(one, program, **shared) for one in folders))
        for running in started:
            stack.push_async_callback(running.end)
        worlds = [World(running, NodeHost()) for running in started]
        for world in worlds:
            stack.push_async_callback(world.close)
        yield Several(worlds)


async def insist(client: Client, chat_id: str, content: str) -> None:
    """Send one message until it is acknowledged, as an application would."""
    payload = {"chatId": chat_id, "content": content, "clientMessageId": content}

    async def sent() -> bool:
        try:
            answer = await client.request("message:send", payload, timeout=3.0)
        except AssertionError:  # not answered: the connection was lost
            return False
        return bool(answer["success"])

    await eventually(sent, AGAIN, f"{content} to be acknowledged")
