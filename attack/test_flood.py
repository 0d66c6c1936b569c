# ruff: noqa
"""EXPERIMENT: CONNECT and DISCONNECT, over and over, on one connection."""
import asyncio, json, time
from pathlib import Path
import pytest
from tests.harness.servers import serve, RATES_OFF
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.harness.node_client import NodeHost
from tests.harness.raw_client import RawSocket
from tests.harness.world import World
from tests.postgres import Postgres


@pytest.mark.parametrize("kind", ["none", "pairs", "sequential"])
async def test_flood(tmp_path: Path, postgres_server: Postgres, valkey: ValkeyServer, kind: str) -> None:
    name = postgres_server.create()
    server = await serve(tmp_path, database_url=postgres_server.url(name), valkey_url=valkey.url,
        **{**RATES_OFF, "connection_rate": "50/5m"})
    world = World(server, NodeHost())
    try:
        victim, attacker = new_user(), new_user()
        chat = await world.chat_of(victim, attacker)
        client = await world.connect(victim)
        await client.join(chat)
        raws = [world.raw() for _ in range(20)]
        stop = False
        sent = 0
        kinds = {}
        auth = json.dumps({"token": attacker.token(), "pid": "x"})
        async def flood(raw: RawSocket) -> None:
            nonlocal sent
            import aiohttp
            async with aiohttp.ClientSession() as http:
                while not stop:
                    async with http.ws_connect(f"{server.url}/socket.io/?EIO=4&transport=websocket") as ws:
                        try:
                            while not stop:
                                await ws.send_str(f"40/chat,{auth}")
                                sent += 1
                                if kind == "pairs":
                                    await asyncio.sleep(0.001)
                                    await ws.send_str("41/chat,")
                                else:
                                    while True:
                                        m = (await ws.receive()).data
                                        kinds[str(m)[:50]] = kinds.get(str(m)[:50], 0) + 1
                                        if str(m).startswith("44"): break
                                        if str(m).startswith("40"):
                                            await ws.send_str("41/chat,"); break
                                if ws._reader.exception() or ws.closed: break
                        except Exception: pass
        def sessions() -> str:
            return str(postgres_server.sql(f"SELECT sessions FROM pg_stat_database WHERE datname='{name}'"))
        s0 = sessions()
        tasks = [asyncio.create_task(flood(r)) for r in raws] if kind != "none" else []
        await asyncio.sleep(0.5)
        times = []; fails = 0
        end = time.monotonic() + 8
        while time.monotonic() < end:
            t = time.monotonic()
            try:
                a = await client.request("message:delivery-status", {"messageId": "0"*8})
                a = await client.request("room:info", {"chatId": chat}) 
                if not a["success"]: fails += 1
            except AssertionError as e:
                fails += 1
            times.append(time.monotonic() - t)
            await asyncio.sleep(0.02)
        stop = True
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(1)
        times.sort()
        print(f"\n{kind}: victims asks={len(times)} fails={fails} p50={times[len(times)//2]*1e3:.1f}ms p95={times[int(len(times)*.95)]*1e3:.1f} max={times[-1]*1e3:.1f} sent={sent} pg sessions {s0}->{sessions()}")
        for r in raws:
            for p in r.packets: kinds[p[:60]] = kinds.get(p[:60], 0) + 1
        print(sorted(kinds.items(), key=lambda kv: -kv[1])[:4], [r.inbox.seen("$disconnect") for r in raws] if hasattr(raws[0].inbox,'seen') else '')
        print("log", server.log()[-600:])
    finally:
        await world.close(); await world.node.stop(); await server.stop()
