# ruff: noqa
"""A close amid an upgrade: sessions by the hundred whose client does this or that; is anything left, does shutdown hang?"""

import asyncio, time, random, sys, tempfile
from pathlib import Path
import aiohttp
from tests.harness.servers import serve


async def metrics(http, url):
    async with http.get(url + "/metrics") as r:
        return {
            l.rsplit(" ", 1)[0]: float(l.rsplit(" ", 1)[1])
            for l in (await r.text()).splitlines()
            if l and l[0] != "#"
        }


async def one(http, base, rnd, out):
    u = base + "/socket.io/?EIO=4&transport="
    async with http.get(u + "polling") as r:
        sid = (await r.json(content_type=None, loads=lambda t: __import__("json").loads(t[1:])))["sid"]
    poll = asyncio.create_task(get(http, u + f"polling&sid={sid}")) if rnd.random() < 0.5 else None
    async with http.ws_connect(u + f"websocket&sid={sid}") as ws:
        late = rnd.random()
        await asyncio.sleep(rnd.choice([0, 0.9, 0.99, 1.0, 1.01, 1.1]))
        act = rnd.choice(
            [
                "probe",
                "probe+upgrade",
                "none",
                "probe,late upgrade",
                "probe,close",
                "probe,poll late",
                "probe,post",
            ]
        )
        try:
            if act != "none":
                await ws.send_str("2probe")
            if act == "probe+upgrade":
                await ws.receive(timeout=3)
                await ws.send_str("5")
            if act == "probe,late upgrade":
                await asyncio.sleep(rnd.random() * 2)
                await ws.send_str("5")
            if act == "probe,poll late":
                await asyncio.sleep(rnd.random() * 2)
                await get(http, u + f"polling&sid={sid}")
            if act == "probe,post":
                await asyncio.sleep(rnd.random())
                await (await http.post(u + f"polling&sid={sid}", data="1")).read()
            if act == "probe,close":
                await asyncio.sleep(rnd.random())
                await ws.close()
            got = []
            t = time.monotonic()
            while True:
                m = await ws.receive(timeout=25)
                got.append(str(m.data)[:10])
                if m.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING):
                    break
            out.append((act, ws.close_code, round(time.monotonic() - t, 0)))
        except Exception as e:
            out.append((act, repr(e)[:60], -1))
    if poll:
        await poll


async def get(http, url):
    try:
        async with http.get(url) as r:
            return await r.text()
    except Exception as e:
        return repr(e)


async def main():
    with tempfile.TemporaryDirectory() as d:
        server = await serve(Path(d), connect_timeout="1s")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            rnd, out = random.Random(1), []
            await asyncio.gather(*(one(http, server.url, rnd, out) for _ in range(400)))
            import collections

            print(collections.Counter((a, c, "slow" if t > 3 else "fast") for a, c, t in out))
            for _ in range(8):
                m = await metrics(http, server.url)
                print({k: v for k, v in m.items() if "session" in k or "sockets" in k})
                await asyncio.sleep(8)
                if m.get("hubbub_connections", m.get("hubbub_sessions", 0)) == 0:
                    break
            # and now a shutdown with candidates that were probed
            u = server.url + "/socket.io/?EIO=4&transport="
            wss = []
            for _ in range(50):
                async with http.get(u + "polling") as r:
                    sid = __import__("json").loads((await r.text())[1:])["sid"]
                ws = await http.ws_connect(u + f"websocket&sid={sid}")
                await ws.send_str("2probe")
                await ws.receive()
                wss.append(ws)
            t = time.monotonic()
            await server.stop()
            print("stopped in", round(time.monotonic() - t, 1))


asyncio.run(main())
