"""Whoever connects while the database is away comes back unasked, and is in as soon as it is there."""

import asyncio
from pathlib import Path

import pytest

from tests.harness.node_client import NodeHost
from tests.harness.servers import serve
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.harness.world import NPM_MODES, World
from tests.lossless.proxy import Proxy
from tests.postgres import Postgres

SOON = {"reconnectionDelay": 50, "reconnectionDelayMax": 50}
AGAIN = 30.0


@pytest.mark.node
@pytest.mark.parametrize("mode", NPM_MODES)
async def test_the_stock_client_comes_back(
    tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer, mode: str
) -> None:
    """It takes `connect_error` for the last word and would stay away, so it is closed instead. Attempts that
    were put off are not counted: more than the limit of them would have it blocked.
    """
    wire = Proxy([postgres_server.folder / ".s.PGSQL.5432"])
    await wire.start()
    address = f"postgresql://postgres@127.0.0.1:{wire.port}/{postgres_server.create()}"
    server = await serve(tmp_path, database_url=address, valkey_url=valkey.url, connection_rate="3/5m")
    world = World(server, NodeHost())
    was_here, is_new = world.npm(new_user(), mode), world.npm(new_user(), mode)
    try:
        await was_here.connect(manager=SOON)
        wire.is_offline = True
        wire.cut_all()
        was_here.cut()
        arriving = asyncio.create_task(is_new.connect(manager=SOON))
        for client in (was_here, is_new):
            await client.inbox.wait_count("$disconnect", 4, AGAIN)
        wire.is_offline = False
        await arriving
        await was_here.inbox.wait_count("$connect", 2, AGAIN)
        for client in (was_here, is_new):
            assert not client.seen("$connect_error")
            await client.done("presence:online-users", {})
        server.check_log()
    finally:
        await world.close()
        await world.node.stop()
        await server.stop()
        await wire.close()
