"""Socket.IO's own recovery, and that by token, on another node than before."""

import asyncio
from pathlib import Path

import pytest

from tests.harness.clients import Client
from tests.harness.node_client import NodeClient
from tests.harness.servers import serve
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.harness.world import NPM_MODES, World
from tests.nodes.several import Several, metrics_of
from tests.postgres import Postgres

SOON = {"reconnectionDelay": 700, "randomizationFactor": 0}
AGAIN = 30.0


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
    """With chats whose messages come from all nodes at once it is recovered whole, or begins anew."""
    user, others = new_user(), [new_user() for _ in range(3)]
    rooms = [await nodes.room_of(*others) for _ in range(3)]
    client = front.npm(user)
    for chat_id, _ in rooms:
        await nodes.worlds[0].rest.add(others[0], chat_id, user)
    await client.connect(manager=SOON)
    for chat_id, _ in rooms:
        await client.join(chat_id)
    talking = [asyncio.create_task(chatter(peer, chat_id)) for chat_id, peers in rooms for peer in peers]
    await client.inbox.wait_count("message:new", 20)
    await cut(client)
    state = await client.inbox.wait("$connect", timeout=AGAIN)
    await asyncio.gather(*talking)
    if state["recovered"]:
        await client.inbox.wait_count("message:new", 3 * 3 * 20, AGAIN)
        for chat_id, _ in rooms:
            told = [one["seq"] for one in client.seen("message:new") if one["chatId"] == chat_id]
            assert told == list(range(1, 3 * 20 + 1))
    else:
        assert state["id"] != client.sid


async def chatter(peer: Client, chat_id: str) -> None:
    """Say twenty things."""
    for number in range(20):
        await peer.say(chat_id, f"{number}")


async def cut(client: NodeClient) -> None:
    """Cut the transport, and wait until the client knows."""
    client.cut()
    await client.wait_disconnect()
    client.inbox.log[:] = [event for event in client.inbox.log if not event.name.startswith("$")]


async def test_another_history(tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer) -> None:
    """A node whose database was replaced ends with a failure, for its supervisor to start it anew."""
    name = postgres_server.create()
    server = await serve(tmp_path, database_url=postgres_server.url(name), valkey_url=valkey.url)
    postgres_server.sql("UPDATE meta SET value = 'elsewhere' WHERE name = 'place'", name)
    # Only once: cut off again and again, a connection may never come to look at the history.
    postgres_server.sql(
        f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
    )
    assert await server.exited() == 1
    assert "its history is another one now" in server.log()
    server.check_log()
