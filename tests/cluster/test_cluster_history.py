"""PostgreSQL fails over to a server that lacks the newest messages, under three nodes with clients."""

import asyncio
import signal

import pytest

from tests.lossless.arena import Arena
from tests.lossless.clients import Way
from tests.lossless.cluster import ClusterStage
from tests.lossless.history import Restored
from tests.lossless.scenarios import Scene
from tests.lossless.violations import show

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


async def test_the_tail_is_lost(cluster: ClusterStage) -> None:
    """Nodes notice and end with a failure; clients of every kind are told that the history is another one."""
    await cluster.whole()
    async with Arena(cluster) as arena:
        scene = Scene(arena)
        await scene.open()
        sender, *readers = [await scene.actor(way) for way in (Way.JOIN, Way.TOKEN, Way.CLAIM, Way.STATE)]
        await sender.say(scene.chat, 1, 2, 3)
        copy = await cluster.copy_database()
        await cluster.whole()
        await sender.say(scene.chat, *range(4, 9))
        for reader in readers:
            await scene.has(reader, 8)
        for actor in (sender, *readers):
            await scene.leaves(actor)

        await asyncio.to_thread(cluster.postgres.stop, signal.SIGQUIT)
        arena.history.add(Restored())
        cluster.put_back(copy)
        await asyncio.to_thread(cluster.postgres.start)
        codes = await asyncio.gather(*(node.gone(30) for node in cluster.nodes))
        assert codes == [1, 1, 1]
        await asyncio.gather(*(node.start() for node in cluster.nodes))

        await scene.returns(sender)
        await sender.say(scene.chat, *range(20, 30))
        for reader in readers:
            await scene.returns(reader)
        await sender.say(scene.chat, 30)
        await arena.settle()
        found = await arena.judge()
        assert not found, show(arena.history.entries, found)
