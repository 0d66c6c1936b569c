"""Where nodes find each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from hubbub.cluster.valkey import Cluster, Place, open_cluster, places
from tests.cluster.implementations import wait_until
from tests.harness.valkey import ValkeyServer

PLACE = Place(host="192.0.2.1", port=4000, key=b"\0secret\xff")


@pytest.fixture
async def pair(valkey: ValkeyServer) -> AsyncIterator[tuple[Cluster, Cluster]]:
    """A node that can be found, and one that looks."""
    async with AsyncExitStack() as stack:
        there = await open_cluster(valkey.url, node="there", place=PLACE)
        stack.push_async_callback(there.close)
        here = await open_cluster(valkey.url, node="here")
        stack.push_async_callback(here.close)
        yield there, here


async def test_found(pair: tuple[Cluster, Cluster]) -> None:
    """By its name; nobody else is, nor a node that tells of no place."""
    _, here = pair
    assert here.places.name == "here"
    assert await here.places.find("there") == PLACE
    for name in ("here", "nobody", "", "there.", "*", "\0"):
        assert await here.places.find(name) is None


async def test_a_newcomer_is_found_at_once(pair: tuple[Cluster, Cluster], valkey: ValkeyServer) -> None:
    """Its first clients may come over any node, so what is known is not relied on to be all."""
    _, here = pair
    assert await here.places.find("there") == PLACE
    newcomer = await open_cluster(valkey.url, node="newcomer", place=PLACE)
    try:
        await asyncio.sleep(places._AGAIN)
        assert await here.places.find("newcomer") == PLACE
    finally:
        await newcomer.close()


async def test_gone(pair: tuple[Cluster, Cluster]) -> None:
    """A node that left is found no more."""
    there, here = pair
    assert await here.places.find("there") == PLACE
    await there.close()

    async def is_gone() -> bool:
        return await here.places.find("there") is None

    await wait_until(is_gone, "the node to be forgotten")


@pytest.mark.usefixtures("short_leases")
async def test_dead(pair: tuple[Cluster, Cluster]) -> None:
    """Nor is one whose lease has ended."""
    there, here = pair
    task = there._membership._task
    assert task is not None
    task.cancel()
    assert await here.places.find("there") == PLACE

    async def is_gone() -> bool:
        return await here.places.find("there") is None

    await wait_until(is_gone, "the node to be forgotten")


async def test_made_up_names(pair: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are asked for, Valkey is asked seldom."""
    _, here = pair
    await here.places.names()
    monkeypatch.setattr(places, "_AGAIN", 60.0)
    asked = 0
    ask = here._membership.ask

    async def count(make: object) -> object:
        nonlocal asked
        asked += 1
        return await ask(make)  # type: ignore[arg-type]

    monkeypatch.setattr(here._membership, "ask", count)
    here.places._looked_at = -100.0
    found = await asyncio.gather(*(here.places.find(f"n{number}") for number in range(500)))
    assert (set(found), asked) == ({None}, 1)
    assert [await here.places.find("nobody") for _ in range(10)] == [None] * 10
    assert asked == 1


async def test_nobody_has_asked(pair: tuple[Cluster, Cluster], valkey: ValkeyServer) -> None:
    """A node that never looked anybody up knows the others all the same, when Valkey is away."""
    _, here = pair

    async def is_known() -> bool:
        return "there" in here.places._known

    await wait_until(is_known, "the node to be known")
    valkey.pause()
    try:
        assert await here.nodes.names() == ["here", "there"]
    finally:
        valkey.go_on()


async def test_with_valkey_away(pair: tuple[Cluster, Cluster], valkey: ValkeyServer) -> None:
    """What was known holds."""
    _, here = pair
    assert await here.places.find("there") == PLACE
    valkey.pause()
    try:
        here.places._looked_at = -100.0
        for name, place in (("there", PLACE), ("nobody", None), ("there", PLACE)):
            assert await here.places.find(name) == place
    finally:
        valkey.go_on()


async def test_rubbish_in_valkey(pair: tuple[Cluster, Cluster], valkey: ValkeyServer) -> None:
    """A place that cannot be read is none, and the others are found."""
    there, here = pair
    name = there._membership.name
    key = there._membership.keys.of_node(name, "place")
    there._membership._place = b"{"
    valkey.ask("SET", key, "{")
    here.places._looked_at = -100.0
    assert await here.places.find("there") is None
