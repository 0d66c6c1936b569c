# ruff: noqa
"""`Life` of tests/gateway/test_last_told.py, but rooms are also joined while the end of an earlier connection is still to be stored."""

import asyncio, collections, sys, traceback
from random import Random
from tests.gateway.test_last_told import Life, CHATS


class Joining(Life):
    async def connected(self, node, client):
        for chat in CHATS:
            if self.rnd.random() < 0.3:
                await self.join(node, client, chat)
        await super().connected(node, client)


found = collections.Counter()
first = {}
for seed in range(int(sys.argv[1])):
    try:
        asyncio.run(Joining(Random(seed), faults=True).go())
    except Exception as e:
        k = repr(e)[:40] + " " + traceback.extract_tb(e.__traceback__)[-1].line
        found[k] += 1
        first.setdefault(k, seed)
print(found, first)
