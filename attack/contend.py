# ruff: noqa
"""Nodes in processes of their own hit one key as fast as they can: is more let through than the limit, does any go alone?"""

import asyncio, sys, time
from multiprocessing import Process, Queue
from hubbub.cluster.valkey import open_cluster
from tests.harness.valkey import ValkeyServer

LIMIT = 3000


def node(url, q, keys):
    async def main():
        c = await open_cluster(url)
        stop = time.monotonic() + 6
        ok = {k: 0 for k in range(keys)}

        async def sock(n):
            k = n % keys
            while time.monotonic() < stop:
                if await c.limiter.hit(f"request:m{k}", LIMIT, 60.0) is None:
                    ok[k] += 1
                else:
                    await asyncio.sleep(0.01)

        lat = []

        async def victim():
            while time.monotonic() < stop:
                t = time.monotonic()
                await c.limiter.hit("request:v%d" % id(q), 10**6, 60.0)
                lat.append(time.monotonic() - t)
                await asyncio.sleep(0.01)

        await asyncio.gather(*(sock(n) for n in range(600)), victim())
        lat.sort()
        q.put((ok, c.limiter.alone, lat[len(lat) // 2] * 1e3, lat[-1] * 1e3))
        await c.close()

    asyncio.run(main())


if __name__ == "__main__":
    for keys in (1, 50, 200):
        s = ValkeyServer()
        s.start()
        q = Queue()
        ps = [Process(target=node, args=(s.url, q, keys)) for _ in range(3)]
        [p.start() for p in ps]
        r = [q.get() for _ in ps]
        [p.join() for p in ps]
        print(
            keys,
            "keys: per key let through:",
            max(sum(x[0][k] for x in r) for k in range(keys)),
            "limit",
            LIMIT,
            "alone",
            [x[1] for x in r],
            "victim p50/max ms",
            [(round(x[2], 1), round(x[3], 1)) for x in r],
        )
        s.remove()
