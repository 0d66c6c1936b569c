"""A node that comes to itself after its client has gone on elsewhere."""

import asyncio

import pytest

from tests.lossless.arena import Arena
from tests.lossless.clients import Way
from tests.lossless.cluster import ClusterStage
from tests.lossless.history import Fault
from tests.lossless.scenarios import Scene
from tests.lossless.violations import show
from tests.lossless.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

QUIET = 2.0
"""Seconds within which the node has cleared its client away."""


async def test_its_last_word_does_not_count(cluster: ClusterStage) -> None:
    """What it stores of the session when it clears the client away leaves the newer token good."""
    await cluster.whole()
    stale, next_, last = cluster.nodes
    async with Arena(cluster) as arena:
        scene = Scene(arena)
        await scene.open()
        sender, reader = await scene.actor(at=last), await scene.actor(Way.TOKEN, at=stale)
        await sender.say(scene.chat, 1)
        await scene.has(reader, 1)
        arena.history.add(Fault("SIGSTOP"))
        stale.freeze()
        look = f"SELECT token_hash FROM sessions WHERE user_id = '{reader.session.role.user.id}'"
        try:
            reader.proxy.targets = [next_.server.port]
            assert await wait_until(lambda: not reader.session.up.is_set(), 10.0)
            await scene.returns(reader)
            token = await cluster.sql(look)
        finally:
            stale.thaw()
        ends = asyncio.get_running_loop().time() + QUIET
        while asyncio.get_running_loop().time() < ends:
            assert await cluster.sql(look) == token
        await sender.say(scene.chat, 2)
        await arena.settle()
        found = await arena.judge()
        assert not found, show(arena.history.entries, found)
