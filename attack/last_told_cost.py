# ruff: noqa
"""What putting down the order costs a node that stops, for each message told to each client since its heartbeat."""

import asyncio, time, sys
from random import Random
import msgspec
from hubbub.store import records
from tests.gateway.test_last_told import FakeLog, FakeStore, Node, CHATS


async def main():
    log = FakeLog(Random(1))
    node = Node(log, FakeStore())
    await node.fill()
    cs = [node.client() for _ in range(100)]
    for c in cs:
        for chat in CHATS:
            await node.delivery.enter(c, chat)
        c.socket.got = type("N", (list,), {"append": lambda s, x: None})()
    n = int(sys.argv[1])
    for i in range(n):
        log.commit(CHATS[i % 3])
    for chat in CHATS:
        pass
    for i in range(n):
        chat = CHATS[i % 3]
        seq = node.delivery.told()[chat]
        one = log.chats[chat][seq]
        from hubbub.cluster.base import MessageNew
        from hubbub.chat import wire

        node.delivery.deliver(MessageNew(message=wire.message(one), position=one.position))
    t = time.process_time()
    size = 0
    for c in cs:
        told = node.delivery.last_told(c)
        lt = records.LastTold.of(told.teller, told.messages)
        size += len(msgspec.json.encode(lt))
    dt = time.process_time() - t
    print(
        f"{n} told since the heartbeat: {dt / 100 * 1e3:.2f} ms and {size // 100} bytes a client; {dt / 100 / n * 1e6:.2f} us a message"
    )


asyncio.run(main())
