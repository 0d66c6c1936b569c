"""A node that may open no more files."""

import asyncio
import sys

import pytest

from tests.harness.users import new_user
from tests.lossless.cluster import ClusterStage
from tests.lossless.links import Link, LinkLost
from tests.lossless.node import open_files
from tests.lossless.sockets import Socket

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be set on Linux only")
async def test_new_connections_are_shed(cluster: ClusterStage) -> None:
    """Those that there are go on; when files can be opened again, new ones are taken, without a restart."""
    import resource  # noqa: PLC0415 - there is none elsewhere

    await cluster.whole()
    node = cluster.nodes[0]
    pid, token = node.server.pid, {"token": new_user().token()}
    socket = Socket(node.server.url, lambda name, args: None, lambda: None)
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    links: list[Link] = []
    try:
        await socket.connect("websocket", token, lambda facts: None)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(pid) + 5, usual[1]))
        links += [Link(node.server.url, lambda text: None, lambda: None) for _ in range(12)]
        opened = await asyncio.gather(*(link.open("websocket") for link in links), return_exceptions=True)
        assert any(isinstance(one, LinkLost) for one in opened)
        answer = await socket.request("connection:session-info", {}, 5.0)
        assert answer["success"]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        for link in links:
            await link.close("over")
        await cluster.whole()
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        for link in links:
            await link.close("over")
        await socket.close("over")
