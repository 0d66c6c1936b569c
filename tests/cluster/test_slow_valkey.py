"""A Valkey that answers late, or not yet: nobody who sends waits. Its answers are held back and let go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hubbub.cluster.valkey import Cluster, batches, open_cluster, patience
from tests.cluster.implementations import wait_until
from tests.cluster.test_valkey_nodes import settle
from tests.harness.valkey import ValkeyServer
from tests.lossless.proxy import Proxy, Weather


@pytest.fixture(autouse=True)
def no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for Valkey waits for longer than a test may take."""
    monkeypatch.setattr(batches, "_DEADLINE", 3600.0)


class Pair:
    """Two nodes; the answers of Valkey to the first can be held back."""

    def __init__(self, here: Cluster, there: Cluster, proxy: Proxy) -> None:
        self.here = here
        self.there = there
        self._proxy = proxy

    def hold(self) -> None:
        """Let no answer through."""
        self._proxy.become(lambda: (Weather(), Weather(hold=True)))

    async def let_go(self) -> None:
        """Let all answers through; the first node counts with the other one again."""
        self._proxy.heal()
        await wait_until(lambda: self.here.limiter.is_shared, "the limits are counted over both nodes again")


@pytest.fixture
async def pair(valkey: ValkeyServer) -> AsyncIterator[Pair]:
    """Two nodes, each of which has found Valkey well."""
    async with slow(valkey) as proxy:
        here = await open_cluster(f"redis://127.0.0.1:{proxy.port}")
        there = await open_cluster(valkey.url)
        yield Pair(here, there, proxy)
        proxy.heal()
        await here.close()
        await there.close()


@asynccontextmanager
async def slow(valkey: ValkeyServer) -> AsyncIterator[Proxy]:
    """A way to Valkey that can be held up."""
    proxy = Proxy([valkey.path])
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()


async def hits(cluster: Cluster, key: str, count: int) -> list[int | None]:
    """What one attempt after the other is answered, three in a minute."""
    return [await cluster.limiter.hit(key, 3, 60.0) for _ in range(count)]


async def test_who_is_counted_does_not_wait(pair: Pair) -> None:
    """Without an answer a node counts alone at once, and knows what was counted together before."""
    assert await hits(pair.here, "before", 2) == [None, None]
    assert await pair.here.limiter.hit("address", 1, 60.0, 600.0) is None
    assert await pair.here.limiter.hit("address", 1, 60.0, 600.0) == 600
    pair.hold()
    together = await asyncio.gather(*(pair.here.limiter.hit(f"user {n}", 3, 60.0) for n in range(500)))
    assert together == [None] * 500
    assert await hits(pair.here, "before", 2) == [None, 60]
    assert await hits(pair.here, "after", 4) == [None, None, None, 60]
    assert (await pair.here.limiter.hit("address", 1, 60.0, 600.0) or 0) > 60
    assert pair.here.limiter.alone == 500 + 2 + 4 + 1
    # Nothing piles up behind the answer that does not come.
    assert not pair.here._batches[0]._waiting
    assert pair.here.failures() == 0


async def test_valkey_is_asked_again_once_it_answers(pair: Pair) -> None:
    """The limits are those of both nodes then. What was given up before its change was not made after it."""
    pair.hold()
    assert await hits(pair.here, "given up", 1) == [None]
    await pair.let_go()
    assert await hits(pair.there, "given up", 4) == [None, None, None, 60]
    assert await hits(pair.here, "together", 2) == [None, None]
    assert await hits(pair.there, "together", 2) == [None, 60]
    assert pair.here.failures() == 0


async def test_one_who_asks_much_slows_nobody_down(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that want one key at once wait for each other, not for Valkey: the count is exact."""
    # Valkey itself may be late on a busy machine.
    monkeypatch.setattr(patience, "_TURNS", 1000)
    nodes = pair.here, pair.there
    answers = await asyncio.gather(*(node.limiter.hit("one", 30, 60.0) for _ in range(60) for node in nodes))
    assert answers.count(None) == 30
    assert (pair.here.limiter.alone, pair.there.limiter.alone) == (0, 0)


async def test_a_rooms_count_is_known_without_waiting(pair: Pair) -> None:
    """As it was asked for, or heard of, last; in a room that nobody of the node is in, too."""
    await settle(pair.here, "u1")
    await settle(pair.there, "u2")
    registry = pair.here.registry

    def known(count: int) -> bool:
        registry.look_up_room_count("c")
        return registry.known_room_count("c") == count

    await wait_until(lambda: known(2), "the user of the other node counts")
    pair.hold()
    await settle(pair.there, "u3")
    for _ in range(100):
        assert known(2)
    pair._proxy.heal()
    await wait_until(lambda: known(3), "the newest one counts")
    assert pair.there.registry.known_room_count("elsewhere") == 0
