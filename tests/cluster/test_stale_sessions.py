"""A node that comes to itself after its client has gone on elsewhere."""

import asyncio
from contextlib import suppress

import pytest

from tests.harness.clients import Json
from tests.harness.inbox import eventually
from tests.harness.users import User, new_user
from tests.lossless.arena import Arena
from tests.lossless.clients import Way
from tests.lossless.cluster import ClusterStage, metrics_of
from tests.lossless.history import Fault
from tests.lossless.node import Node
from tests.lossless.scenarios import Scene
from tests.lossless.sockets import Socket
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


SOON = 10.0


async def connected(node: Node, user: User) -> Socket:
    """A client that is in."""
    socket = Socket(node.server.url, lambda name, args: None, lambda: None)
    await socket.connect("websocket", {"token": user.token()}, lambda welcome: None)
    return socket


async def recovered(socket: Socket, token: str) -> str:
    """Recover by a token; the token in its place."""
    answer: Json = await socket.request("connection:recover", {"recoveryToken": token}, SOON)
    assert answer["success"], answer
    return str(answer["session"]["recoveryToken"])


@pytest.mark.parametrize("confirmed", [True, False])
async def test_what_it_reads_late_does_not_count(cluster: ClusterStage, confirmed: bool) -> None:
    """It finds a recovery of a client that has long been gone, and recovered elsewhere by the same token:
    neither a thief's nor one to give the session to.
    """
    await cluster.whole()
    stale, next_, last = cluster.nodes
    user = new_user()
    spent = f"SELECT spent_hash IS NULL FROM sessions WHERE user_id = '{user.id}'"

    async def is_confirmed() -> bool:
        return await cluster.sql(spent) == "t"

    async def is_rid() -> bool:
        return (await metrics_of(stale))["hubbub_sockets"] == before

    first = await connected(next_, user)
    token = (await first.request("connection:create-session", {}, SOON))["recoveryToken"]
    await first.close("over")
    before = (await metrics_of(stale))["hubbub_sockets"]
    late = await connected(stale, user)
    stale.freeze()
    try:
        with suppress(TimeoutError):  # by then it is on its way
            await late.request("connection:recover", {"recoveryToken": token}, 0.5)
        await late.close("over")
        again = await connected(next_, user)
        token = await recovered(again, token)
        if confirmed:
            await eventually(is_confirmed)
    finally:
        stale.thaw()
    await eventually(is_rid)
    await again.close("over")
    latest = await connected(last, user)
    await recovered(latest, token)
    await latest.close("over")
