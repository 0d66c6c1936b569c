"""What a balancer is told while PostgreSQL or Valkey hangs."""

import asyncio
import time

import pytest

from tests.harness.users import new_user
from tests.lossless.cluster import ClusterStage, is_ready, until_ready
from tests.lossless.sockets import Socket

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

DEADLINE = 12.0
"""Seconds within which a node says that it cannot do its work, and refuses it, as documented."""


async def test_postgresql_hangs(cluster: ClusterStage) -> None:
    """Every node says that it is not ready, answers a send with a refusal in time, and recovers unaided."""
    await cluster.whole()
    socket = Socket(cluster.front.url, lambda name, args: None, lambda: None)
    try:
        await socket.connect("websocket", {"token": new_user().token()}, lambda facts: None)
        with cluster.postgres.paused():
            since = time.monotonic()
            message = {"chatId": "none", "content": "hello", "clientMessageId": "1"}
            sending = asyncio.create_task(socket.request("message:send", message, DEADLINE))
            await asyncio.gather(
                *(until_ready(node, ready=False, seconds=DEADLINE) for node in cluster.nodes)
            )
            answer = await sending
            assert time.monotonic() - since < DEADLINE
        assert (answer["success"], answer["code"]) == (False, "UNAVAILABLE")
        await cluster.whole()
    finally:
        await socket.close("over")


async def test_valkey_hangs(cluster: ClusterStage) -> None:
    """Nodes stay ready, since messages are sent all the same."""
    await cluster.whole()
    cluster.valkey.pause()
    try:
        for node in cluster.nodes:
            assert await is_ready(node)
    finally:
        cluster.valkey.go_on()
