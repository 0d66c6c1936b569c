"""A node dies at each point where that may hurt, on its way through a message, a recovery or an upgrade."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.harness.servers import HUBBUB
from tests.lossless.arena import Arena
from tests.lossless.clients import Way
from tests.lossless.cluster import ClusterStage
from tests.lossless.deaths import LAST_WORDS, program
from tests.lossless.history import Delivered, Fault, Invoke, Ok
from tests.lossless.node import Node
from tests.lossless.presence import judge_presence
from tests.lossless.scenarios import Actor, Scene
from tests.lossless.senders import Message
from tests.lossless.violations import show

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


@asynccontextmanager
async def mortal(stage: ClusterStage, point: str) -> AsyncIterator[tuple[Scene, Node]]:
    """A chat, and a node that will die at a point; when it has died, all is settled and judged."""
    await stage.whole()
    node = stage.nodes[0]
    await node.stop()
    node.program = program(point)
    await node.start()
    try:
        async with Arena(stage) as arena:
            scene = Scene(arena)
            await scene.open()
            yield scene, node
            await node.start()
            await arena.settle()
            found = await judge_presence(arena)
            found += await arena.judge()
            assert not found, show(arena.history.entries, found)
    finally:
        node.program = HUBBUB
        if node.is_up:
            await node.kill()
        await node.start()


async def died(scene: Scene, node: Node, *actors: Actor) -> None:
    """Wait until it has; then its clients may come back to any node."""
    assert await node.gone() == -signal.SIGKILL
    node.program = HUBBUB
    scene.arena.history.add(Fault("kill -9"))
    for actor in actors:
        actor.proxy.targets = scene.stage.doors
    for actor in actors:
        await scene.returns(actor)


@pytest.mark.parametrize(
    ("point", "ends"),
    [
        ("before-commit", [(2, False)]),
        ("before-ack", [(2, True)]),
        ("before-publish", [(1, False)]),
        # The first socket may be the sender's own.
        ("amid-the-fan-out", [(1, False), (2, True)]),
    ],
)
async def test_with_a_message(cluster: ClusterStage, point: str, ends: list[tuple[int, bool]]) -> None:
    """Sent again if it was not acknowledged, there is one message, which everybody sees once, on any node."""
    async with mortal(cluster, point) as (scene, node):
        sender = await scene.actor(Way.JOIN, at=node)
        ways = [Way.TOKEN, Way.CLAIM, Way.STATE]
        near = [await scene.actor(way, at=node) for way in ways]
        far = [await scene.actor(Way.JOIN, at=cluster.nodes[1]) for _ in range(2)]
        await sender.say(scene.chat, 1, 2)
        for actor in (*near, *far):
            await scene.has(actor, 2)
        last = Message(scene.chat, "last", f"{LAST_WORDS}.")
        sending = asyncio.create_task(sender.sender.deliver(last))
        await died(scene, node, sender, *near)
        await sending
        await sender.say(scene.chat, 4)
        for actor in (*near, *far):
            await scene.has(actor, 4)
    history = scene.arena.history
    (ack,) = [one for one in history.of(Ok) if one.message.text == last.content]
    attempts = sum(one.client_id == "last" for one in history.of(Invoke))
    assert ack.message.seq == 3
    assert (attempts, ack.duplicate) in ends
    heard = [one.message.seq for one in history.of(Delivered) if one.connection == far[0].session.connection]
    assert heard == [1, 2, 3, 4]


@pytest.mark.parametrize("point", ["before-a-recovery-is-stored", "before-a-recovery-is-answered"])
@pytest.mark.parametrize("way", [Way.TOKEN, Way.CLAIM])
async def test_with_a_recovery(cluster: ClusterStage, point: str, way: Way) -> None:
    """The token is good for another try: nothing is lost, and nothing comes twice."""
    async with mortal(cluster, point) as (scene, node):
        sender = await scene.actor(at=cluster.nodes[1])
        reader = await scene.actor(way, at=cluster.nodes[2])
        await sender.say(scene.chat, 1, 2)
        await scene.has(reader, 2)
        await scene.leaves(reader)
        await sender.say(scene.chat, 3, 4)
        reader.proxy.targets = [node.server.port]
        reader.proxy.is_offline = False
        await died(scene, node, reader)
        await sender.say(scene.chat, 5)
        await scene.has(reader, 5)


async def test_with_an_upgrade(cluster: ClusterStage) -> None:
    """What was said to the session on either transport is found on another node."""
    async with mortal(cluster, "amid-an-upgrade") as (scene, node):
        sender = await scene.actor(at=cluster.nodes[1])
        reader = await scene.actor(Way.STATE, at=cluster.nodes[2], transport="upgrade")
        await sender.say(scene.chat, 1, 2)
        await scene.has(reader, 2)
        await scene.leaves(reader)
        await sender.say(scene.chat, 3)
        reader.proxy.targets = [node.server.port]
        reader.proxy.is_offline = False
        await died(scene, node, reader)
        await sender.say(scene.chat, 4)
        await scene.has(reader, 4)
