# ruff: noqa
"""connection:recover with lastSeq 0 in many chats: what one request makes the server hold and how long the loop stands still."""

import asyncio, resource, time, sys, tracemalloc
from hubbub.chat.backlog import Backlog
from hubbub.store.records import Message

CHATS = int(sys.argv[1])


class Log:
    def orders_all_chats(self):
        return False

    async def read(self, chat_id, *, after=0, before=None, limit, newest=False):
        await asyncio.sleep(0.001)
        c = int(chat_id)
        return [
            Message(
                id=f"{c}-{s}",
                chat_id=chat_id,
                seq=s,
                position=s * CHATS + c,
                user_id="ann",
                username="ann",
                content=("x" * 3990) + str(s),
                type="text",
                client_message_id=None,
                created_at=0,
            )
            for s in range(after + 1, min(before, after + 1 + limit))
        ]


async def main():
    b = Backlog(Log(), 4194304)
    worst = 0.0

    async def beat():
        nonlocal worst
        while True:
            t = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - t)

    task = asyncio.create_task(beat())
    r0 = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    t = time.monotonic()
    m = await b.queue({str(c): 0 for c in range(CHATS)}, {str(c): 600 for c in range(CHATS)})
    print(
        f"{CHATS} chats: {len(m.messages)} messages queued, peak rss {r0 / 1024:.0f} -> {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, loop stood still {worst * 1e3:.0f} ms, took {time.monotonic() - t:.2f}s"
    )


asyncio.run(main())
