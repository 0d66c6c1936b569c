"""A node stops in good order: its clients are told, those too whose session is on another node."""

import asyncio
import json

import pytest

from tests.harness.users import new_user
from tests.lossless.cluster import ClusterStage
from tests.lossless.links import Link
from tests.lossless.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

PATIENCE = 10.0


class Visitor:
    """A client that keeps what it is told."""

    def __init__(self, url: str) -> None:
        self.heard: list[str] = []
        self.link = Link(url, self.heard.append, lambda: None)

    async def come(self, transport: str) -> None:
        """Connect, and enter the namespace."""
        await self.link.open("websocket" if transport == "websocket" else "polling")
        self.link.send(f"40/chat,{json.dumps({'token': new_user().token()})}")
        assert await wait_until(lambda: any(one.startswith("0/chat") for one in self.heard), PATIENCE)

    async def move(self, url: str) -> None:
        """Become a WebSocket over another node than that of the session."""
        self.link._base = f"{url}/socket.io/?EIO=4&transport="
        self.link._start(self.link._upgrade)
        assert await wait_until(lambda: self.link._socket is not None, PATIENCE)


async def test_everybody_is_told(cluster: ClusterStage) -> None:
    """`connection:closing` and code 1012 for its own; the code for those that it passes on, and no reset."""
    await cluster.whole()
    node, other = cluster.nodes[:2]
    own, passed = Visitor(node.server.url), Visitor(other.server.url)
    try:
        await own.come("websocket")
        await passed.come("polling")
        await passed.move(node.server.url)
        stopping = asyncio.create_task(node.stop())
        for visitor in (own, passed):
            await asyncio.wait_for(visitor.link.lost.wait(), PATIENCE)
            assert visitor.link.reason == "LinkLost: closed with 1012"
        assert any("connection:closing" in one and '"retryAfter":' in one for one in own.heard)
        assert await stopping == 0
    finally:
        for visitor in (own, passed):
            await visitor.link.close("over")
        if not node.is_up:
            await node.start()
