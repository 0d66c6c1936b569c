"""What happens to nodes among others, and to what they share.

A fault is made when its context is entered, and undone when it is left. Its numbers are those of the list of
cluster faults in tests/cluster/README.md.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg

from tests.lossless.cluster import ClusterStage
from tests.lossless.history import Fail, Fault, History
from tests.lossless.meddler import meddling
from tests.lossless.nemesis import Strike
from tests.lossless.node import Node
from tests.lossless.proxy import Pipe, Proxy, Weather
from tests.lossless.waiting import wait_until

PATIENCE: Final = 30.0
"""Seconds after which a node must have started, whatever else is broken for a while."""

DISK_BITES: Final = 10.0
"""Seconds within which a full disk must have been felt: pages that are there have some room of their own."""

Made: TypeAlias = AbstractAsyncContextManager[None]


@dataclass(frozen=True, slots=True)
class ClusterFault:
    """A kind of fault. `hold`: for how many seconds it lasts, at least and at most."""

    name: str
    make: Callable[["Place"], Made]
    hold: tuple[float, float] = (0.2, 3.0)
    is_of_the_bus: bool = False
    """Whether nodes may not hear each other meanwhile."""
    missing: Callable[[ClusterStage], str | None] = lambda stage: None
    """Why it cannot be made on a stage that serves, if it cannot."""

    def strike(self, place: "Place", halfway: Callable[[], None] = lambda: None) -> Strike:
        """The fault made and undone, for the nemesis; `halfway` is called in the middle of it."""

        async def strike(chance: random.Random) -> None:
            seconds = chance.uniform(*self.hold)
            place.history.add(Fault(self.name, f"{seconds:.1f} s"))
            async with self.make(place):
                await asyncio.sleep(seconds / 2)
                halfway()
                await asyncio.sleep(seconds / 2)
            place.history.add(Fault("healed", self.name))

        return strike


class Place:
    """Where faults are made: a node is broken in one way at a time, and so is each server."""

    def __init__(self, stage: ClusterStage, history: History, chance: random.Random) -> None:
        self.stage = stage
        self.history = history
        self.valkey = asyncio.Lock()
        self.postgres = asyncio.Lock()
        self._chance = chance
        self._nodes = [asyncio.Lock() for _ in stage.nodes]

    @asynccontextmanager
    async def node(self) -> AsyncIterator[Node]:
        """One of the nodes, for a fault of its own."""
        free = [number for number, lock in enumerate(self._nodes) if not lock.locked()]
        number = self._chance.choice(free or range(len(self._nodes)))
        async with self._nodes[number]:
            yield self.stage.nodes[number]

    def refused(self) -> int:
        """How many sends were refused so far because the database could not be used."""
        return sum(one.code == "UNAVAILABLE" for one in self.history.of(Fail))

    async def start(self, node: Node) -> None:
        """Start a node, as its supervisor would: again and again while what it needs is broken, too."""
        deadline = time.monotonic() + PATIENCE
        while not node.is_up:
            try:
                await node.start()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    @asynccontextmanager
    async def all_nodes(self) -> AsyncIterator[list[Node]]:
        """All nodes, one after the other as they are free."""
        async with AsyncExitStack() as stack:
            for lock in self._nodes:
                await stack.enter_async_context(lock)
            yield self.stage.nodes


@asynccontextmanager
async def kill(place: Place) -> AsyncIterator[None]:
    """1 to 4, wherever it strikes: SIGKILL."""
    async with place.node() as node:
        await node.kill()
        yield
        await place.start(node)


@asynccontextmanager
async def restart_all(place: Place) -> AsyncIterator[None]:
    """6: SIGTERM to each node, one after the other."""
    async with place.all_nodes() as nodes:
        for node in nodes:
            code = await node.stop()
            assert code == 0, f"exit code {code} after SIGTERM:\n" + "\n".join(node.logs[-30:])
            await place.start(node)
        yield


@asynccontextmanager
async def freeze(place: Place) -> AsyncIterator[None]:
    """7: SIGSTOP."""
    async with place.node() as node:
        node.freeze()
        try:
            yield
        finally:
            node.thaw()


@asynccontextmanager
async def freeze_valkey(place: Place) -> AsyncIterator[None]:
    """8: SIGSTOP of Valkey."""
    async with place.valkey:
        place.stage.valkey.pause()
        try:
            yield
        finally:
            place.stage.valkey.go_on()


@asynccontextmanager
async def freeze_postgres(place: Place) -> AsyncIterator[None]:
    """8: SIGSTOP of PostgreSQL."""
    async with place.postgres:
        with place.stage.postgres.paused():
            yield


@asynccontextmanager
async def empty_valkey(place: Place) -> AsyncIterator[None]:
    """9: Valkey is killed, and back without anything."""
    async with place.valkey:
        place.stage.valkey.kill()
        yield
        await asyncio.to_thread(place.stage.valkey.start)


@asynccontextmanager
async def partition(place: Place) -> AsyncIterator[None]:
    """10: a node does not reach Valkey; nothing comes through, and nobody says so."""
    async with place.node() as node, weather(place.stage.wires_of(node).valkey, Weather(drop=True)):
        yield


@asynccontextmanager
async def deafen(place: Place) -> AsyncIterator[None]:
    """11: a node publishes, and hears nothing; new connections are as good as ever."""
    async with place.node() as node:
        proxy = place.stage.wires_of(node).valkey

        def hearing() -> list[Pipe]:
            return [pipe for pipe in proxy.pipes if b"SUBSCRIBE" in pipe.up.head]

        # There is none for a moment where another fault has just broken it.
        assert await wait_until(lambda: bool(hearing()), PATIENCE), "no connection hears"
        for pipe in hearing():
            pipe.become(Weather(), Weather(drop=True))
        yield


@asynccontextmanager
async def slow_valkey(place: Place) -> AsyncIterator[None]:
    """12: Valkey is far away, for all nodes."""
    async with place.valkey, AsyncExitStack() as stack:
        for wires in place.stage.wires:
            await stack.enter_async_context(weather(wires.valkey, Weather(delay=0.15)))
        yield


@asynccontextmanager
async def fill_valkey(place: Place) -> AsyncIterator[None]:
    """13: Valkey has no memory left, and refuses what would need some."""
    async with configured(place, "maxmemory", "1", "0"):
        yield


@asynccontextmanager
async def break_saving(place: Place) -> AsyncIterator[None]:
    """13: Valkey is to save what it has, cannot, and refuses every write (MISCONF); publishing goes on."""
    async with place.valkey:
        await asyncio.to_thread(place.stage.valkey.break_saving)
        try:
            yield
        finally:
            await asyncio.to_thread(place.stage.valkey.mend_saving)


@asynccontextmanager
async def hang_up_on_hearers(place: Place) -> AsyncIterator[None]:
    """13: Valkey ends connections that do not read at once."""
    name, usual = "client-output-buffer-limit", "pubsub 33554432 8388608 60"
    async with configured(place, name, "pubsub 1 0 0", usual):
        yield


@asynccontextmanager
async def fail_valkey_over(place: Place) -> AsyncIterator[None]:
    """14: a replica of Valkey takes over, which lacks what was written last."""
    async with place.valkey:
        copy = await place.stage.stale_copy()
        yield
        place.stage.use_valkey(copy)


@asynccontextmanager
async def meddle(place: Place) -> AsyncIterator[None]:
    """15, 24: frames come twice, late, in another order, damaged, of other versions, with more fields. At the
    end many of all come once more.
    """
    async with place.valkey, meddling(place.stage.valkey.path, await place.stage.chat_ids()):
        yield


@asynccontextmanager
async def crash_postgres(place: Place) -> AsyncIterator[None]:
    """16: PostgreSQL is stopped as if it had crashed."""
    async with place.postgres:
        await asyncio.to_thread(place.stage.postgres.stop)
        yield
        await asyncio.to_thread(place.stage.postgres.start)


@asynccontextmanager
async def cut_before_commit(place: Place) -> AsyncIterator[None]:
    """17: a node loses each connection to PostgreSQL that says COMMIT, and the server never hears of it."""
    cut = Weather(cut_at=b"COMMIT\0"), Weather()
    async with place.node() as node, weather(place.stage.wires_of(node).postgres, *cut):
        yield


@asynccontextmanager
async def cut_after_commit(place: Place) -> AsyncIterator[None]:
    """17: a node loses each connection to PostgreSQL over which a COMMIT is answered."""
    cut = Weather(), Weather(cut_at=b"COMMIT\0")
    async with place.node() as node, weather(place.stage.wires_of(node).postgres, *cut):
        yield


@asynccontextmanager
async def lock_chats(place: Place) -> AsyncIterator[None]:
    """20: somebody else keeps all chats locked."""
    async with place.postgres:
        connection = await asyncpg.connect(place.stage.postgres.url(place.stage.database))
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '10s'")
                await connection.execute("SELECT FROM chats ORDER BY id FOR UPDATE")
                yield
        finally:
            await connection.close()


@asynccontextmanager
async def use_up_connections(place: Place) -> AsyncIterator[None]:
    """20: the nodes lose their connections to PostgreSQL, and others have taken all there are."""
    url = place.stage.postgres.url(place.stage.database)
    async with place.postgres, AsyncExitStack() as stack:
        first = await asyncpg.connect(url)
        stack.push_async_callback(first.close)
        try:
            while True:
                await first.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hubbub'"
                )
                for _ in range(10):
                    taken = await asyncpg.connect(url)
                    stack.push_async_callback(taken.close)
        except asyncpg.TooManyConnectionsError:
            """All are taken."""
        yield


@asynccontextmanager
async def fill_disk(place: Place) -> AsyncIterator[None]:
    """19: PostgreSQL's disk has no room for new rows; lasts until that is felt, and then some."""
    async with place.postgres, place.stage.full_disk():
        before = place.refused()
        await wait_until(lambda: place.refused() > before, DISK_BITES)
        yield


@asynccontextmanager
async def fill_log(place: Place) -> AsyncIterator[None]:
    """19: PostgreSQL's disk has no room for its write-ahead log, at which it ends, and has to be started."""
    async with place.postgres, place.stage.full_disk():
        await asyncio.to_thread(place.stage.postgres.run_out_of_log)
        yield


@asynccontextmanager
async def weather(proxy: Proxy, up: Weather, down: Weather | None = None) -> AsyncIterator[None]:
    """Bad weather on a wire, both ways unless two are given."""
    proxy.become(lambda: (up, up if down is None else down))
    try:
        yield
    finally:
        proxy.heal()


@asynccontextmanager
async def configured(place: Place, name: str, value: str, usual: str) -> AsyncIterator[None]:
    """Valkey with another setting."""
    async with place.valkey:
        assert place.stage.valkey.ask("CONFIG", "SET", name, value) == b"+OK\r\n"
        try:
            yield
        finally:
            assert place.stage.valkey.ask("CONFIG", "SET", name, usual) == b"+OK\r\n"


FAULTS: Final = (
    ClusterFault("kill -9", kill, (0.0, 0.8)),
    ClusterFault("rolling restart", restart_all, (0.0, 0.1)),
    ClusterFault("SIGSTOP of a node", freeze, (5.5, 7.0), is_of_the_bus=True),
    ClusterFault("SIGSTOP of Valkey", freeze_valkey, (1.0, 4.0), is_of_the_bus=True),
    ClusterFault("SIGSTOP of PostgreSQL", freeze_postgres, (0.5, 7.0)),
    ClusterFault("Valkey emptied", empty_valkey, (0.5, 2.0), is_of_the_bus=True),
    ClusterFault("cut off from Valkey", partition, (1.0, 7.0), is_of_the_bus=True),
    ClusterFault("deaf", deafen, (1.0, 4.5), is_of_the_bus=True),
    ClusterFault("Valkey slow", slow_valkey, (1.0, 3.0), is_of_the_bus=True),
    ClusterFault("Valkey full", fill_valkey, (1.0, 3.0), is_of_the_bus=True),
    ClusterFault("hearers hung up on", hang_up_on_hearers, (1.0, 3.0), is_of_the_bus=True),
    ClusterFault("Valkey failed over", fail_valkey_over, (1.0, 3.0), is_of_the_bus=True),
    ClusterFault("bus meddled with", meddle, (3.0, 8.0)),
    ClusterFault("PostgreSQL crashed", crash_postgres, (0.0, 2.0)),
    ClusterFault("cut before COMMIT", cut_before_commit, (0.5, 2.0)),
    ClusterFault("cut after COMMIT", cut_after_commit, (0.5, 2.0)),
    ClusterFault("chats locked", lock_chats, (0.5, 6.0)),
    ClusterFault("no connections left", use_up_connections, (0.5, 3.0)),
    ClusterFault("Valkey cannot save", break_saving, (5.5, 7.0)),
    ClusterFault("PostgreSQL's disk full", fill_disk, (0.5, 3.0), missing=lambda stage: stage.no_disk),
    ClusterFault("PostgreSQL's log without room", fill_log, (0.0, 2.0), missing=lambda stage: stage.no_disk),
)

RIGHTS: Final = 12.0
"""Seconds after which a right that has ended counts on no node, whatever the bus does."""
