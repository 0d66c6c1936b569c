"""`--workers`: several processes behind one port of one machine, and a parent that looks after them."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.harness.inbox import eventually
from tests.harness.node_client import NodeHost
from tests.harness.servers import RATES_OFF, launch, serve
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.harness.world import NPM_MODES, World
from tests.nodes.several import AGAIN, insist, metrics_of
from tests.postgres import Postgres

STARTED = re.compile(r"worker (\d+) \(process (\d+)\) is alone at (http://\S+)")
WORKERS = 3


def workers(world: World) -> list[tuple[int, int, str]]:
    """Number, process and own address of each worker that was started, in the order of starting."""
    found = filter(None, map(STARTED.search, list(world.server.err)))
    return [(int(one[1]), int(one[2]), one[3]) for one in found]


@asynccontextmanager
async def working(folder: Path, postgres: Postgres, valkey: ValkeyServer) -> AsyncIterator[World]:
    """A server of several workers."""
    server = await serve(
        folder,
        workers=str(WORKERS),
        database_url=postgres.url(postgres.create()),
        valkey_url=valkey.url,
        ping_interval="2s",
        ping_timeout="10s",
    )
    world = World(server, NodeHost())
    try:
        yield world
    finally:
        await world.close()
        await world.node.stop()
        await server.end()


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").exists() else True


@pytest.mark.node
async def test_one_server(tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer) -> None:
    """Clients of all kinds are in one room; each worker has its metrics; one that dies is started anew."""
    async with working(tmp_path, postgres_server, valkey) as world:
        users = [new_user() for _ in range(9)]
        chat_id = await world.chat_of(*users)
        clients = await asyncio.gather(*map(world.connect, users, [*NPM_MODES] * 3))
        for client in clients:
            await client.join(chat_id)
        await asyncio.gather(*(client.say(chat_id, client.user.id) for client in clients))
        for client in clients:
            told = await client.inbox.wait_count("message:new", len(clients))
            assert [message["seq"] for message in told] == list(range(1, len(clients) + 1))

        first = workers(world)
        assert [number for number, _, _ in first] == list(range(WORKERS))
        metrics = await asyncio.gather(*(metrics_of(address) for _, _, address in first))
        assert sum(one["hubbub_sockets"] for one in metrics) == len(clients)

        os.kill(first[1][1], signal.SIGKILL)
        await asyncio.gather(*(insist(client, chat_id, f"{client.user.id} again") for client in clients))

        async def is_anew() -> bool:
            return len(workers(world)) > WORKERS

        await eventually(is_anew, AGAIN, "the worker to be started anew")
        assert workers(world)[WORKERS][0] == 1
        history = await world.rest.history(users[0], chat_id)
        assert len(history) == 2 * len(clients)


async def test_without_its_parent(tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer) -> None:
    """Workers whose parent was killed stop by themselves: nobody would look after them."""
    async with working(tmp_path, postgres_server, valkey) as world:
        pids = [pid for _, pid, _ in workers(world)]
        world.server.process.kill()

        async def are_gone() -> bool:
            return not any(map(alive, pids))

        await eventually(are_gone, AGAIN, "the workers to go")


async def test_a_worker_that_cannot_start(tmp_path: Path, postgres_server: Postgres) -> None:
    """Told once, with the code of a server that cannot start, and nothing is left behind."""
    settings = {
        **RATES_OFF,
        "workers": "3",
        "database_url": postgres_server.url(postgres_server.create()),
        "valkey_url": "redis://127.0.0.1:1",
    }
    server = await launch(tmp_path, settings)
    assert await server.exited(AGAIN) == 2
    assert [line for line in server.err if "cannot start" in line and "valkey_url" in line] != []
    assert server.log().count("cannot start") == 1
    server.check_log()
