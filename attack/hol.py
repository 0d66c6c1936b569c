# ruff: noqa
"""One key hit by many at once on one node: how long does somebody else's hit wait?"""

import asyncio, time, statistics
from hubbub.cluster.valkey import open_cluster
from tests.harness.valkey import ValkeyServer


async def main():
    server = ValkeyServer()
    server.start()
    c = await open_cluster(server.url)
    for n in (0, 100, 1000, 5000):
        stop = False

        async def attacker():
            while not stop:
                await c.limiter.hit("request:mallory", 100, 60.0)

        tasks = [asyncio.create_task(attacker()) for _ in range(n)]
        await asyncio.sleep(0.3)
        times = []
        end = time.monotonic() + 4
        while time.monotonic() < end:
            t = time.monotonic()
            await c.limiter.hit("request:victim%d" % len(times), 100, 60.0)
            times.append(time.monotonic() - t)
            await asyncio.sleep(0.01)
        stop = True
        await asyncio.gather(*tasks)
        times.sort()
        print(
            f"{n} sockets of one user: victim p50 {times[len(times) // 2] * 1e3:.1f} ms max {times[-1] * 1e3:.1f} ms, n={len(times)} alone={c.limiter.alone}",
            flush=True,
        )
    await c.close()
    server.remove()


asyncio.run(main())
