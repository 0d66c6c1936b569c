"""PostgreSQL fails over to a server that lacks the newest messages, under three nodes with clients."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests import postgres
from tests.harness.inbox import eventually
from tests.lossless.arena import Arena
from tests.lossless.clients import Way
from tests.lossless.cluster import ClusterStage
from tests.lossless.history import Restored
from tests.lossless.scenarios import Actor, Scene
from tests.lossless.violations import show

KEPT = 3
"""How many messages the standby has got."""

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
        await all_begin_anew(cluster, arena, scene, sender, readers)


async def test_a_standby_takes_over(tmp_path: Path) -> None:
    """A real standby that lacks the newest messages is promoted, and the address of the database moves to it.
    Half of the clients are away meanwhile, the others have only just lost their nodes.
    """
    async with ClusterStage(tmp_path) as cluster, Arena(cluster) as arena:
        scene = Scene(arena)
        await scene.open()
        ways = (Way.JOIN, Way.JOIN, Way.TOKEN, Way.TOKEN, Way.CLAIM, Way.CLAIM, Way.STATE, Way.STATE)
        sender, *readers = [await scene.actor(way) for way in (Way.JOIN, *ways)]
        away = [sender, *readers[::2]]
        with postgres.standby_of(cluster.postgres) as standby:
            await sender.say(scene.chat, *range(KEPT))
            await eventually(lambda: has_kept(standby, cluster.database), what="the standby to follow")
            await asyncio.to_thread(standby.crash)
            await sender.say(scene.chat, *range(KEPT, 9))
            for reader in readers:
                await scene.has(reader, 9)
            for actor in away:
                await scene.leaves(actor)

            await asyncio.to_thread(cluster.postgres.crash)
            arena.history.add(Restored())
            await asyncio.to_thread(standby.promote, standby.folder)
            cluster.move_database(standby)
            await all_begin_anew(cluster, arena, scene, sender, readers)
            assert await last_seq(cluster, scene.chat) == KEPT + 11


async def all_begin_anew(
    cluster: ClusterStage, arena: Arena, scene: Scene, sender: Actor, readers: list[Actor]
) -> None:
    """The nodes notice and end; started again, they serve everybody who comes back, of the new history."""
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


async def has_kept(standby: postgres.Postgres, database: str) -> bool:
    """Whether the standby has the messages that will be kept."""
    return await asyncio.to_thread(standby.sql, "SELECT count(*) FROM messages", database) == str(KEPT)


async def last_seq(cluster: ClusterStage, chat: str) -> int:
    """The number of the newest message that the database has."""
    return int(await cluster.sql(f"SELECT last_seq FROM chats WHERE id = '{chat}'"))
