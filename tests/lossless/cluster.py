"""Several nodes on one PostgreSQL and one Valkey, all of them real; each node has its own wire to either.

clients -> proxies -> nodes -> wires -> PostgreSQL, Valkey
"""

import asyncio
import json
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from tests import postgres
from tests.harness.valkey import ValkeyServer
from tests.lossless.disk import SmallDisk
from tests.lossless.history import Seen, Whole, brief
from tests.lossless.node import Node
from tests.lossless.proxy import Proxy
from tests.lossless.stage import FAST, Stage, judge_log
from tests.lossless.violations import Violation
from tests.lossless.waiting import STEP, wait_until
from tools.cluster.program import Failure, free_port

NODES: Final = 3
HEARTBEAT: Final = {"ping_interval": "1s", "ping_timeout": "2s"}

QUICK: Final = {"offline_grace": "500ms", "message_rate": "100000/1m"}

DISK: Final = 320 * 2**20
"""Bytes of PostgreSQL's disk: room for its files, and for a copy of them."""

HEALED: Final = 20.0
"""Seconds after a fault until all nodes are ready again."""

READ: Final = """
SELECT json_build_array(c.id, (SELECT value FROM meta WHERE name = 'epoch'), c.last_seq, coalesce(
    (SELECT json_agg(json_build_array(seq, id, user_id, client_message_id, content) ORDER BY seq)
    FROM messages WHERE chat_id = c.id), '[]'))
FROM chats c WHERE c.id = ANY('{{{ids}}}') ORDER BY c.id
"""


@dataclass(slots=True)
class Wires:
    """A node's ways to what it shares with the others."""

    valkey: Proxy = field(default_factory=Proxy)
    postgres: Proxy = field(default_factory=Proxy)


class ClusterStage(Stage):
    """Three nodes. It may serve one arena after the other."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__()
        self.folder = folder
        self.wires = [Wires() for _ in range(NODES)]
        self.valkey = ValkeyServer(port=free_port())
        self.database = ""
        # Why PostgreSQL has no small disk of its own; None when it has.
        self.no_disk: str | None = "not started"
        self._settings = {**FAST, **HEARTBEAT, **QUICK, **settings}
        self._stack = ExitStack()

    async def start(self) -> None:
        """Start everything; the nodes at the same time, on an empty database. Skips the test where PostgreSQL
        or Valkey is missing.
        """
        await asyncio.to_thread(self._start_servers)
        for number, wires in enumerate(self.wires):
            wires.valkey.targets.append(self.valkey.path)
            wires.postgres.targets.append(self.postgres.folder / ".s.PGSQL.5432")
            for proxy in (wires.valkey, wires.postgres):
                await proxy.start()
                self._proxies.append(proxy)
            folder = self.folder / f"node{number}"
            folder.mkdir()
            self.nodes.append(Node(folder, self.doors, {**self._settings, **self._urls(wires)}))
        await asyncio.gather(*(node.start() for node in self.nodes))

    def _start_servers(self) -> None:
        folder = self._stack.enter_context(postgres.folder_for_one())
        self._disk = SmallDisk(folder, DISK)
        self.no_disk = self._disk.mount()
        if self.no_disk is None:
            self._stack.callback(self._disk.unmount)
        self.postgres = self._stack.enter_context(postgres.running_in(folder, postgres.TIGHT))
        self.database = self.postgres.create()
        self._stack.callback(self._remove_valkey)
        self.valkey.start()

    def _urls(self, wires: Wires) -> dict[str, str]:
        place = f"127.0.0.1:{wires.postgres.port}"
        return {
            "database_url": f"postgresql://postgres@{place}/{self.database}",
            "valkey_url": f"redis://127.0.0.1:{wires.valkey.port}",
        }

    def wires_of(self, node: Node) -> Wires:
        """The wires of a node."""
        return self.wires[self.nodes.index(node)]

    async def sql(self, statement: str) -> str:
        """Have a statement done by the superuser, past all wires; its rows as plain text."""
        return await asyncio.to_thread(self.postgres.sql, statement, self.database)

    async def chat_ids(self) -> list[str]:
        """All chats there are; asked until PostgreSQL answers, which may be broken itself just now."""
        deadline = time.monotonic() + HEALED
        while True:
            try:
                return (await self.sql("SELECT id FROM chats")).split()
            except Failure:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(STEP)

    @asynccontextmanager
    async def full_disk(self) -> AsyncIterator[None]:
        """PostgreSQL's disk is full for the block; should it have ended, it is started again."""
        await asyncio.to_thread(self._disk.fill)
        try:
            yield
        finally:
            self._disk.free()
            await asyncio.to_thread(self._revive)

    def _revive(self) -> None:
        while not self.postgres.answers():
            if not self.postgres.program.runs():
                self.postgres.start()
            time.sleep(0.05)

    async def stale_copy(self) -> ValkeyServer:
        """A Valkey with all that this one has now, and nothing that it will have."""
        copy = ValkeyServer(port=free_port())
        await asyncio.to_thread(copy.start)
        copy.ask("REPLICAOF", "127.0.0.1", str(self.valkey.port))
        assert await wait_until(lambda: b"master_link_status:up" in copy.ask("INFO", "replication"), HEALED)
        copy.ask("REPLICAOF", "NO", "ONE")
        copy.drop_file()
        return copy

    def use_valkey(self, other: ValkeyServer) -> None:
        """Have the nodes find another Valkey where the one was, which is ended."""
        for wires in self.wires:
            wires.valkey.targets[:] = [other.path]
        old, self.valkey = self.valkey, other
        old.remove()

    def move_database(self, other: postgres.Postgres) -> None:
        """Have the nodes find another PostgreSQL where the one was."""
        self.postgres = other
        for wires in self.wires:
            wires.postgres.targets[:] = [other.folder / ".s.PGSQL.5432"]

    def _remove_valkey(self) -> None:
        self.valkey.remove()

    async def whole(self) -> None:
        """Wait until every node is ready, by its own word; one that a test before has lost is started."""
        for node in self.nodes:
            if not node.is_up:
                await node.start()
            await until_ready(node, ready=True, seconds=HEALED)

    async def finish(self, chats: Collection[str]) -> tuple[list[Whole], list[Violation]]:
        """Read the database; everything goes on running."""
        rows = (await self.sql(READ.format(ids=",".join(chats)))).splitlines()
        wholes = [_whole(*json.loads(row)) for row in rows]
        found = [violation for node in self.nodes for violation in judge_log(node.take_logs())]
        return wholes, found

    async def copy_database(self) -> Path:
        """Put a copy of the stopped database server's files aside; a moment without PostgreSQL."""
        return await asyncio.to_thread(self._copy_database)

    def _copy_database(self) -> Path:
        copy = self.postgres.folder / "copy"
        self.postgres.stop(signal.SIGINT)
        subprocess.run(["cp", "-a", str(self.postgres.data), str(copy)], check=True)
        self.postgres.start()
        return copy

    def put_back(self, copy: Path) -> None:
        """Have the database be what it was: all later is lost. PostgreSQL must have stopped."""
        shutil.rmtree(self.postgres.data)
        copy.rename(self.postgres.data)

    async def end(self) -> None:
        """SIGTERM to all nodes: each ends with 0, and has logged nothing that is a bug."""
        codes = await asyncio.gather(*(node.stop() for node in self.nodes))
        assert not any(codes), f"exit codes {codes} after SIGTERM"
        for node in self.nodes:
            lines = node.take_logs()
            assert not judge_log(lines), "\n".join(lines)

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        await super().close()
        await asyncio.to_thread(self._stack.close)


Row = tuple[int, str, str, str | None, str]


def _whole(chat: str, epoch: str, last_seq: int, rows: list[Row]) -> Whole:
    messages = [Seen(chat, seq, id_, user, name, brief(text)) for seq, id_, user, name, text in rows]
    return Whole("database", chat, epoch, last_seq, messages)


async def is_ready(node: Node) -> bool | None:
    """Whether a node says so; None when it does not answer in time."""
    patience = aiohttp.ClientTimeout(total=12.0)
    url = f"{node.server.url}/health/ready"
    try:
        async with aiohttp.ClientSession(timeout=patience) as http, http.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return None


async def until_ready(node: Node, *, ready: bool, seconds: float) -> None:
    """Wait until a node says that it is ready, or that it is not."""
    deadline = time.monotonic() + seconds
    while await is_ready(node) is not ready:
        assert time.monotonic() < deadline, f"a node never said {'ready' if ready else 'not ready'}"
        await asyncio.sleep(0.05)


async def metrics_of(node: Node) -> dict[str, float]:
    """What a node's `/metrics` tells."""
    async with aiohttp.ClientSession() as http, http.get(f"{node.server.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}
