"""Socket.IO's own recovery, and that by token, on another node than before."""

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.harness.balancer import balancing
from tests.harness.clients import Client, Json
from tests.harness.inbox import eventually
from tests.harness.node_client import NodeClient
from tests.harness.raw_client import RawSocket
from tests.harness.servers import serve
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.harness.world import NPM_MODES, NPM_WEBSOCKET, World
from tests.nodes.several import Several, before, metrics_of, several
from tests.postgres import Postgres

SOON = {"reconnectionDelay": 700, "randomizationFactor": 0}
AGAIN = 30.0
SAYINGS = 20


async def sockets(nodes: Several) -> list[float]:
    """How many sockets each node has."""
    told = await asyncio.gather(*(metrics_of(world.server.url) for world in nodes.worlds))
    return [one["hubbub_sockets"] for one in told]


def numbers(client: Client) -> list[int]:
    """The messages told, by number."""
    return [message["seq"] for message in client.seen("message:new")]


@pytest.mark.node
@pytest.mark.parametrize("mode", NPM_MODES)
async def test_recovered_elsewhere(nodes: Several, front: World, mode: str) -> None:
    """Cut off again and again, with the next node each time: the same socket, and nothing lost or twice."""
    user, other = new_user(), new_user()
    chat_id, (peer,) = await nodes.room_of(other)
    await nodes.worlds[0].rest.add(other, chat_id, user)
    client = front.npm(user, mode)
    await client.connect(manager=SOON)
    await client.join(chat_id)
    await peer.say(chat_id, "first")
    await client.wait("message:new")
    before, places = client.sid, {tuple(await sockets(nodes))}
    for turn in range(3):
        await cut(client)
        for _ in range(turn):  # or a client that makes three requests each time always comes to the same node
            await front.rest.history(other, chat_id)
        await asyncio.gather(*(peer.say(chat_id, f"{turn} {number}") for number in range(5)))
        state = await client.inbox.wait("$connect", timeout=AGAIN)
        assert (state["recovered"], state["id"]) == (True, before)
        told = await client.inbox.wait_count("message:new", 1 + 5 * (turn + 1), AGAIN)
        assert [message["seq"] for message in told] == list(range(1, 5 * (turn + 1) + 2))
        places.add(tuple(await sockets(nodes)))
    assert len(places) > 1, "always the same node"


@pytest.mark.node
async def test_many_chats(nodes: Several, front: World) -> None:
    """Cut off amid chats whose messages come from all nodes at once: recovered, and again before any
    heartbeat.
    """
    user, others = new_user(), [new_user() for _ in range(3)]
    rooms = [await nodes.room_of(*others) for _ in range(3)]
    for chat_id, _ in rooms:
        await nodes.worlds[0].rest.add(others[0], chat_id, user)
    client = front.npm(user, NPM_WEBSOCKET)
    await client.connect(manager=SOON)
    for chat_id, _ in rooms:
        await client.join(chat_id)
    talking = [asyncio.create_task(chatter(peer, chat_id)) for chat_id, peers in rooms for peer in peers]
    for count in (20, 60, 100):
        await client.inbox.wait_count("message:new", count, AGAIN)
        await cut(client)
        assert (await client.inbox.wait("$connect", timeout=AGAIN))["recovered"] is True
    await asyncio.gather(*talking)
    await check_all(client, [chat_id for chat_id, _ in rooms], 3 * SAYINGS)


@pytest.mark.node
async def test_its_node_is_restarted(tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer) -> None:
    """A node that stops puts down what it told a client of several chats: another one recovers it."""
    database = postgres_server, postgres_server.create()
    async with AsyncExitStack() as stack:
        pair = await stack.enter_async_context(several(tmp_path, database, valkey.url, 2))
        ports = [world.server.port for world in pair.worlds]
        front = before(pair, await stack.enter_async_context(balancing(tmp_path, ports)))
        stack.push_async_callback(front.node.stop)
        stack.push_async_callback(front.close)
        user = new_user()
        client = front.npm(user, NPM_WEBSOCKET)
        await client.connect(manager=SOON)
        place = (await sockets(pair)).index(1.0)
        other = pair.worlds[1 - place]
        rooms = [await other.room_of(new_user()) for _ in range(3)]
        for chat_id, (peer,) in rooms:
            await other.rest.add(peer.user, chat_id, user)
            await client.join(chat_id)
        talking = [asyncio.create_task(chatter(peer, chat_id)) for chat_id, (peer,) in rooms]
        await client.inbox.wait_count("message:new", 10, AGAIN)
        client.inbox.log[:] = [event for event in client.inbox.log if not event.name.startswith("$")]
        await pair.server(place).stop()
        assert (await client.inbox.wait("$connect", timeout=AGAIN))["recovered"] is True
        await asyncio.gather(*talking)
        await check_all(client, [chat_id for chat_id, _ in rooms], SAYINGS)


async def check_all(client: Client, chat_ids: list[str], each: int) -> None:
    """Everything has come, once and in order."""
    await client.inbox.wait_count("message:new", each * len(chat_ids), AGAIN)
    for chat_id in chat_ids:
        told = [one["seq"] for one in client.seen("message:new") if one["chatId"] == chat_id]
        assert told == list(range(1, each + 1))


async def chatter(peer: Client, chat_id: str) -> None:
    """Say one thing after the other."""
    for number in range(SAYINGS):
        await peer.say(chat_id, f"{number}")


async def cut(client: NodeClient) -> None:
    """Cut the transport, and wait until the client knows."""
    client.cut()
    await client.wait_disconnect()
    client.inbox.log[:] = [event for event in client.inbox.log if not event.name.startswith("$")]


async def test_a_room_joined_on_the_next_node(
    tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer
) -> None:
    """It stays in the session, though the node before notices late that the client has gone, and stores what
    it knows of that.
    """
    database = (postgres_server, postgres_server.create())
    async with several(tmp_path, database, valkey.url, 3, ping_interval="2s", ping_timeout="2s") as nodes:
        user, other = new_user(), new_user()
        early, late = await nodes.chat_of(other, user), await nodes.chat_of(other, user)
        peer = await nodes.connect(2, other)
        first, second, third = (world.raw() for world in nodes.worlds)
        auth: Json = {"token": user.token()}
        sid = await first.connect(auth)
        auth["pid"] = welcome(first)["pid"]
        assert (await first.request("join:chat", {"chatId": early}))["success"]
        first.answer_heartbeats = False  # its node hears nothing of it any more
        assert await second.connect(auth) == sid
        assert (await second.request("join:chat", {"chatId": late}))["success"]
        await first.inbox.wait("$disconnect", timeout=AGAIN)

        async def is_cleared_away() -> bool:
            return (await metrics_of(nodes.worlds[0].server.url))["hubbub_sockets"] == 0

        await eventually(is_cleared_away, AGAIN)
        await nodes.server(1).kill()  # the second node has no time to store anything more
        assert await third.connect(auth) == sid
        for chat_id in (early, late):
            await peer.join(chat_id)
            await peer.say(chat_id, "text")
        told = await third.wait_event("message:new", 2)
        assert [one["chatId"] for one in told] == [early, late]
        for raw in (first, second, third):
            await raw.close()


def welcome(raw: RawSocket) -> Json:
    """What a client was welcomed with."""
    answer: Json = json.loads(next(one for one in raw.packets if one.startswith("40"))[len("40/chat,") :])
    return answer


async def test_another_history(tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer) -> None:
    """A node whose database was replaced ends with a failure, for its supervisor to start it anew."""
    name = postgres_server.create()
    server = await serve(tmp_path, database_url=postgres_server.url(name), valkey_url=valkey.url)
    postgres_server.sql("UPDATE meta SET value = 'elsewhere' WHERE name = 'place'", name)
    # Only once: cut off again and again, a connection may never come to look at the history.
    postgres_server.sql(
        f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
    )

    async def has_ended() -> bool:
        # It looks when it next asks the database something.
        with suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http:
                await http.get(f"{server.url}/health/ready")
        return server.process.returncode is not None

    await eventually(has_ended, AGAIN, "the node to stop")
    assert await server.exited() == 1
    assert "its history is another one now" in server.log()
    server.check_log()
