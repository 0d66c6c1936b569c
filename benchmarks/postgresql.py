"""What the writes of a node cost on PostgreSQL, beside a bare loop of INSERTs with the same fsync: messages,
receipts one by one, and the positions of sessions that a heartbeat's answer moves.

    python -m benchmarks.postgresql [SECONDS]

One server on this machine, from a wheel, on a real disk; each row is measured for SECONDS (5).
"""

import asyncio
import itertools
import statistics
import sys
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter, process_time

import asyncpg
import uvloop

from hubbub.store.postgres import PostgresStore
from hubbub.store.records import NewMessage
from tests import postgres
from tests.store.samples import NOW, room, session

CHATS = 40
SESSIONS = 20_000
READER = "reader"
CONTENT = "x" * 200
TABLE = "CREATE TABLE bare (position bigserial PRIMARY KEY, id text UNIQUE, content text)"
INSERT = "INSERT INTO bare (id, content) VALUES ($1, $2) RETURNING position"

Send = Callable[[int], Awaitable[object]]


def new_message(number: int) -> NewMessage:
    """A message of about the usual size, with a client message id."""
    id_ = str(uuid.uuid4())
    return NewMessage(
        id=id_,
        chat_id=f"chat-{number % CHATS}",
        user_id=f"user-{number % CHATS}",
        username="user",
        content=CONTENT,
        type="text",
        client_message_id=id_,
        created_at=1_700_000_000_000,
    )


async def measure(name: str, send: Send, callers: int, seconds: float) -> None:
    """Let callers send one after the other, and print what they got."""
    times: list[float] = []
    until = perf_counter() + seconds
    begun, cpu = perf_counter(), process_time()

    async def call(number: int) -> None:
        for turn in itertools.count():
            sent = perf_counter()
            if sent >= until:
                return
            await send(number + turn * callers)
            times.append(perf_counter() - sent)

    await asyncio.gather(*(call(number) for number in range(callers)))
    taken, used = perf_counter() - begun, process_time() - cpu
    times.sort()
    print(
        f"{name:<28} {callers:>4} callers {len(times) / taken:>8.0f}/s"
        f"   median {statistics.median(times) * 1000:6.2f} ms"
        f"   p99 {times[len(times) * 99 // 100] * 1000:7.2f} ms"
        f"   {used / len(times) * 1e6:5.0f} us CPU of ours"
    )


async def run(server: postgres.Postgres, seconds: float) -> None:
    """Measure everything once."""
    url = server.url(server.create())
    bare = await asyncpg.connect(url)
    await bare.execute(TABLE)
    store = await PostgresStore.open(server.url(server.create()))
    for number in range(CHATS):
        await room(store, f"chat-{number}", f"user-{number}", READER)

    async def insert(_: int) -> object:
        return await bare.fetchval(INSERT, str(uuid.uuid4()), CONTENT)

    sent: deque[tuple[str, str]] = deque()

    async def append(number: int) -> object:
        new = new_message(number)
        sent.append((new.chat_id, new.id))
        return await store.append(new)

    async def confirm(_: int) -> object:
        chat_id, id_ = sent.popleft()
        return await store.confirm(chat_id, READER, [id_], "read", NOW)

    async def save(number: int) -> None:
        await store.save_session(session(f"session-{number % SESSIONS}", READER))

    for _ in range(2):
        await measure("bare INSERT, one connection", insert, 1, seconds)
        await measure("append", append, 1, seconds)
    for callers in (16, 64, 256):
        await measure("append", append, callers, seconds)
    for callers in (64, 256):
        await measure("receipt of one message", confirm, callers, seconds / 2)
        await measure("position of a session", save, callers, seconds)
    await store.close()
    await bare.close()


def main() -> None:
    """Measure, print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with postgres.running(in_memory=False) as server:
        uvloop.run(run(server, seconds))


if __name__ == "__main__":
    main()
