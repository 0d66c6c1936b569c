"""PostgreSQL's disk is full, seen from three nodes: refusals, reads, readiness, and the way back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.harness.clients import Client, Json, settle
from tests.harness.inbox import eventually
from tests.harness.node_client import NodeHost
from tests.harness.users import User, new_user
from tests.harness.world import World
from tests.lossless.cluster import HEALED, ClusterStage, until_ready

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

BITES = 500
"""Messages of 3 kB after which a full disk must have been felt."""


class Hall:
    """A chat with a user who has a client on each node; `asked` is what they sent, `stored` what of it was
    acknowledged, by number.
    """

    def __init__(self, worlds: list[World], user: User, chat: str, clients: list[Client]) -> None:
        self.worlds = worlds
        self.user = user
        self.chat = chat
        self.clients = clients
        self.asked: dict[str, str] = {}
        self.stored: dict[int, str] = {}

    async def send(self, client: Client, name: str) -> Json:
        """The answer to a message of that client message id; the same text with each attempt."""
        content = self.asked.setdefault(name, f"{name} {'x' * 3000}")
        payload = {"chatId": self.chat, "content": content, "clientMessageId": name}
        answer = await client.request("message:send", payload)
        if answer["success"]:
            self.stored[answer["sentMessage"]["seq"]] = content
        return answer

    async def is_sent(self, client: Client, name: str) -> bool:
        """Whether it could be sent."""
        return bool((await self.send(client, name))["success"])

    async def history(self, world: World) -> dict[int, str]:
        """What a node reads, by number."""
        read: dict[int, str] = {}
        while page := await world.rest.history(self.user, self.chat, f"?limit=200&after={len(read)}"):
            read |= {one["seq"]: one["content"] for one in page}
        return read


@asynccontextmanager
async def hall(cluster: ClusterStage) -> AsyncIterator[Hall]:
    """A chat with somebody on all nodes, and one message from each."""
    if cluster.no_disk is not None:
        pytest.skip(cluster.no_disk)
    await cluster.whole()
    worlds = [World(node.server, NodeHost()) for node in cluster.nodes]
    user = new_user()
    try:
        chat = await worlds[0].rest.chat(user)
        clients = [await world.connect(user) for world in worlds]
        for client in clients:
            await client.join(chat)
        one = Hall(worlds, user, chat, clients)
        for number, client in enumerate(clients):
            assert await one.is_sent(client, f"before {number}")
        yield one
    finally:
        for world in worlds:
            await world.close()


async def fill_up(one: Hall) -> list[str]:
    """Send on every node until it is refused there as it should be; the names of what was refused."""
    return [await until_refused(one, number) for number in range(len(one.clients))]


async def until_refused(one: Hall, number: int) -> str:
    """Send on one node until a message is refused; its name."""
    for turn in range(BITES):
        name = f"full {number} {turn}"
        answer = await one.send(one.clients[number], name)
        if not answer["success"]:
            assert answer["code"] == "UNAVAILABLE"
            assert answer["retryAfter"] >= 1
            return name
    raise AssertionError("the disk is not full")


async def recovered(cluster: ClusterStage, one: Hall, refused: list[str], pids: list[int]) -> None:
    """The same processes take everything again, and all there is was acknowledged, once."""
    for client, name in zip(one.clients, refused, strict=True):
        await eventually(lambda: one.is_sent(client, name), HEALED, "a send to succeed")  # noqa: B023 - at once
    await cluster.whole()
    assert [node.server.pid for node in cluster.nodes] == pids
    assert sorted(one.stored) == list(range(1, len(one.asked) + 1))
    assert sorted(one.stored.values()) == sorted(one.asked.values())
    for world in one.worlds:
        assert await one.history(world) == one.stored
    await settle(*one.clients)
    for client in one.clients:
        assert [message["seq"] for message in client.seen("message:new")] == sorted(one.stored)


async def test_no_room_for_rows(cluster: ClusterStage) -> None:
    """What has to be stored is refused with a time to wait; reads go on, newcomers are let in and join."""
    async with hall(cluster) as one:
        pids = [node.server.pid for node in cluster.nodes]
        async with cluster.full_disk():
            refused = await fill_up(one)
            await asyncio.gather(*(until_ready(node, ready=False, seconds=HEALED) for node in cluster.nodes))
            for world in one.worlds:
                assert await one.history(world) == one.stored
                newcomer = await world.connect(one.user)
                await newcomer.join(one.chat)
        await recovered(cluster, one, refused, pids)


async def test_no_room_for_the_log(cluster: ClusterStage) -> None:
    """PostgreSQL ends. Everything is refused until it is started with room; the nodes live."""
    async with hall(cluster) as one:
        pids = [node.server.pid for node in cluster.nodes]
        async with cluster.full_disk():
            await asyncio.to_thread(cluster.postgres.run_out_of_log)
            refused = await fill_up(one)
            await asyncio.gather(*(until_ready(node, ready=False, seconds=HEALED) for node in cluster.nodes))
            for world in one.worlds:
                status, answer = await world.rest.ask(one.user, "GET", f"/chats/{one.chat}/messages")
                assert (status, answer["code"]) == (503, "UNAVAILABLE")
        await recovered(cluster, one, refused, pids)
