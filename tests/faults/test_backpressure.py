"""Clients that never read, at a real server: what they cost, how they end, and that nobody else is harmed."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from hubbub.engineio import EngineConfig
from tests.faults.stuck import StuckPolling, StuckWebSocket
from tests.harness.clients import Client, Json
from tests.harness.inbox import eventually
from tests.harness.node_client import NodeHost
from tests.harness.servers import Server, serve
from tests.harness.users import User, new_user
from tests.harness.world import World

OUTBOX = EngineConfig().max_outbox_bytes
MEBIBYTE = 1024 * 1024
Stuck = StuckWebSocket | StuckPolling


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server with the default outbox."""
    server = await serve(tmp_path)
    world = World(server, NodeHost())
    yield world
    await world.close()
    await server.end()


def resident(server: Server) -> int:
    """Bytes of memory that the server holds."""
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * 4096


async def unsent(server: Server) -> float:
    """Bytes that wait for clients, by the server's own account."""
    async with aiohttp.request("GET", f"{server.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return float(next(line for line in lines if line.startswith("hubbub_outbox_bytes ")).split()[1])


async def talk(client: Client, chat_id: str, count: int) -> float:
    """Send long messages, 50 at a time; the longest that one of them took."""
    longest = 0.0
    for start in range(0, count, 50):
        begun = time.monotonic()
        await asyncio.gather(*(client.say(chat_id, f"{start + n} " + "x" * 3900) for n in range(50)))
        longest = max(longest, time.monotonic() - begun)
    return longest


async def ends(admin: Client, stuck: Sequence[Stuck]) -> list[str]:
    """Why the connections of these have ended, of those that have."""
    events = (await admin.done("monitoring:events", {"type": "disconnect", "limit": 1000}))["events"]
    users = {one.user.id for one in stuck}
    return [event["details"]["reason"] for event in events if event["userId"] in users]


async def stuck_clients(world: World, chat_id: str, owner: User) -> list[Stuck]:
    """Two of each kind, in the room, reading no more."""
    stuck: list[Stuck] = []
    for _ in range(2):
        stuck += [
            StuckWebSocket(new_user(), world.server.port),
            StuckPolling(new_user(), world.server.port, asks=False),
            StuckPolling(new_user(), world.server.port, asks=True),
        ]
    for one in stuck:
        await world.rest.add(owner, chat_id, one.user)
        await one.get_stuck(chat_id)
    return stuck


async def caught_up(world: World, user: User, chat_id: str, said: Json) -> list[int]:
    """The numbers of all messages that a recovery and the history behind it bring."""
    client = await world.connect(user)
    answer = await client.done("connection:recover", said)
    assert answer["reset"] == []
    seqs = [message["seq"] for message in answer["session"]["messageQueue"]]
    more = answer["truncated"]
    while more:
        page = await world.rest.done(user, "GET", f"/chats/{chat_id}/messages?after={seqs[-1]}&limit=200")
        seqs += [message["seq"] for message in page["messages"]]
        more = page["hasMore"]
    await client.disconnect()
    return seqs


@pytest.mark.slow
async def test_clients_that_never_read(world: World) -> None:
    """Each costs no more than its outbox, is disconnected as a slow reader, and finds all that it missed.

    Others get every message in order, and the room of the slow ones is told that they are gone.
    """
    ann, bob = new_user("ann"), new_user("bob")
    chat_id, (writer, reader) = await world.room_of(ann, bob)
    admin = await world.connect(new_user("admin", "admin"))
    await talk(writer, chat_id, 1000)
    held = resident(world.server)
    await talk(writer, chat_id, 1000)
    cost_of_messages = resident(world.server) - held
    before = 2000

    stuck = await stuck_clients(world, chat_id, ann)
    held = resident(world.server)
    count, most_unsent, longest = 0, 0.0, 0.0
    while len(reasons := await ends(admin, stuck)) < len(stuck):
        longest = max(longest, await talk(writer, chat_id, 250))
        most_unsent = max(most_unsent, await unsent(world.server))
        count += 250
        assert count < 6000, f"gone are only {reasons}"
    assert reasons == ["slow reader"] * len(stuck)
    assert most_unsent <= len(stuck) * (OUTBOX + MEBIBYTE)
    # All of them wait for the same messages, which are kept once.
    grown = resident(world.server) - held - cost_of_messages * count / 1000
    assert grown < 3 * OUTBOX, f"{grown / MEBIBYTE:.1f} MiB for {len(stuck)} clients"
    assert longest < 3
    await eventually(lambda: nothing_unsent(world.server), what="the memory to be given back")

    last = before + count
    await reader.inbox.wait_count("message:new", last)
    assert [message["seq"] for message in reader.seen("message:new")] == list(range(1, last + 1))
    for one in stuck:
        await reader.wait("user:left", userId=one.user.id)
        await one.close()
    for number, one in enumerate(stuck):
        said: Json = {"recoveryToken": one.token}
        if number % 2:
            said["lastSeq"] = {chat_id: before}
        assert await caught_up(world, one.user, chat_id, said) == list(range(before + 1, last + 1))


async def nothing_unsent(server: Server) -> bool:
    """Whether nothing waits any more."""
    return await unsent(server) == 0


@pytest.mark.slow
async def test_clients_that_only_ask(world: World) -> None:
    """A client that asks for much and reads nothing of it holds an outbox full, whatever it asks for."""
    users = [new_user() for _ in range(8)]
    chat_ids = [await world.chat_of(*users) for _ in range(40)]
    admin = await world.connect(new_user("admin", "admin"))
    sender = await world.connect(users[0])
    for chat_id in chat_ids:
        await sender.say(chat_id, "x" * 4000)
    stuck = [StuckWebSocket(user, world.server.port) for user in users]
    for one in stuck:
        await one.get_stuck(chat_ids[0])
    held = resident(world.server)
    highest = 0
    for one in stuck:
        one.ask_on("room:list", {"limit": 200}, 600)  # answers of 100 MB
    while len(reasons := await ends(admin, stuck)) < len(stuck):
        highest = max(highest, resident(world.server))
    assert reasons == ["slow reader"] * len(stuck)
    grown = highest - held
    assert grown < len(stuck) * 2 * OUTBOX, f"{grown / MEBIBYTE:.1f} MiB for {len(stuck)} clients"
    for one in stuck:
        await one.close()
