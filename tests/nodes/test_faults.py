"""What nodes are for: a node, Valkey or PostgreSQL dies, and nothing that was acknowledged is lost."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.harness.clients import Client, Json
from tests.harness.inbox import eventually, watch
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.nodes.several import Several, several
from tests.postgres import Postgres

OFFLINE = 15.0
"""Seconds within which the users of a dead node are offline, as promised."""

HEALED = 20.0
"""Seconds that nodes may take to find each other again on a busy machine."""


def seqs(messages: list[Json]) -> list[int]:
    """Their numbers."""
    return [message["seq"] for message in messages]


async def talk(client: Client, chat_id: str, acknowledged: list[Json]) -> None:
    """Say one thing after the other, for as long as there is a server."""
    while True:
        acknowledged.append(await client.say(chat_id, f"m{len(acknowledged)}"))


async def insist(client: Client, chat_id: str, name: str) -> None:
    """Send one message until it is acknowledged; every failure before that is an honest one."""
    payload = {"chatId": chat_id, "content": name, "clientMessageId": name}

    async def sent() -> bool:
        answer = await client.request("message:send", payload, timeout=HEALED)
        assert answer["success"] or answer["code"] == "UNAVAILABLE", answer
        return bool(answer["success"])

    await eventually(sent, HEALED, f"{name} to be sent")


@pytest.mark.slow
async def test_a_node_is_killed(tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer) -> None:
    """Its users go offline in time and once, unless they are elsewhere; who comes back misses nothing."""
    database = postgres_server, postgres_server.create()
    async with several(tmp_path, database, valkey.url, 2) as pair:
        users = watcher, moved, gone, both = [new_user() for _ in range(4)]
        chat_id = await pair.chat_of(*users)
        watching, moving, going = [await pair.connect(*at) for at in ((0, watcher), (1, moved), (1, gone))]
        for client in (watching, moving, going, *[await pair.connect(node, both) for node in (0, 1)]):
            await client.join(chat_id)
        token = (await moving.done("connection:create-session"))["recoveryToken"]
        acknowledged: list[Json] = []
        talking = asyncio.create_task(talk(going, chat_id, acknowledged))
        await watching.inbox.wait_count("message:new", 50)

        await pair.server(1).kill()
        killed = time.monotonic()
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        heard = seqs(moving.seen("message:new"))
        back = await pair.connect(0, moved)
        wanted = {"recoveryToken": token, "lastSeq": {chat_id: len(heard)}}
        queued = (await back.done("connection:recover", wanted))["session"]["messageQueue"]
        history = seqs(await pair.worlds[0].rest.history(watcher, chat_id))
        assert history == list(range(1, len(history) + 1))
        assert set(seqs(acknowledged)) <= set(history)
        assert heard + seqs(queued) == history
        last = await back.say(chat_id, "I am back")
        await watching.wait("message:new", timeout=HEALED, id=last["id"])
        assert seqs(watching.seen("message:new")) == [*history, last["seq"]]

        await watching.wait("user:offline", timeout=OFFLINE, userId=gone.id)
        assert time.monotonic() - killed < OFFLINE
        await watching.wait("user:left", userId=gone.id, deviceCount=0)
        await watching.wait("room:online-update", count=3)
        await watch(3.0)
        offline = [told["userId"] for told in watching.seen("user:offline")]
        assert offline == [gone.id]


async def test_valkey_is_killed(nodes: Several, shared_valkey: ValkeyServer) -> None:
    """Sends go on; what was not told meanwhile is healed; everybody is found where they were."""
    chat_id, clients = await nodes.room_of(*(new_user() for _ in range(3)))
    shared_valkey.kill()
    await asyncio.gather(*(client.say(chat_id, f"{n}") for n in range(5) for client in clients))
    shared_valkey.start()
    for client in clients:
        told = await client.inbox.wait_count("message:new", 15, HEALED)
        assert seqs(told) == list(range(1, 16))

    async def is_whole() -> bool:
        rooms = [(await client.done("room:info", {"chatId": chat_id}))["roomInfo"] for client in clients]
        return [room["onlineCount"] for room in rooms] == [3, 3, 3]

    async def is_heard() -> bool:
        for status in ("busy", "online"):
            await clients[0].done("presence:update-status", {"status": status})
        changes = [one.seen("user:status-changed") for one in clients[1:]]
        return all(clients[0].user.id in [told["userId"] for told in seen] for seen in changes)

    await eventually(is_whole, HEALED, "everybody to be in the room again")
    await eventually(is_heard, HEALED, "the bus to be heard again")
    ours = {client.user.id for client in clients}
    for client in clients:
        assert seqs(client.seen("message:new")) == list(range(1, 16))
        assert not ours & {told["userId"] for told in client.seen("user:offline")}


async def test_postgresql_is_killed(nodes: Several, postgres_server: Postgres) -> None:
    """Sends fail honestly until it is back; each is stored once, and heard once and in order everywhere."""
    chat_id, clients = await nodes.room_of(*(new_user() for _ in range(3)))
    names = [f"{number} of {client.user.id}" for number in range(8) for client in clients]
    await clients[0].say(chat_id, "first")
    sending = [
        asyncio.create_task(insist(client, chat_id, name))
        for client, name in zip(clients * 8, names, strict=True)
    ]
    await asyncio.to_thread(postgres_server.crash)
    await asyncio.to_thread(postgres_server.start)
    await asyncio.gather(*sending)
    history = await nodes.worlds[1].rest.history(clients[0].user, chat_id)
    assert sorted(message["content"] for message in history) == sorted(["first", *names])
    for client in clients:
        told = await client.inbox.wait_count("message:new", len(history), HEALED)
        assert seqs(told) == seqs(history)
