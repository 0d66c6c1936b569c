"""A process that appends until it is killed, and prints what was acknowledged."""

import asyncio
import sys
from itertools import count

from hubbub.store.sqlite import SqliteStore
from tests.store.samples import message, room


async def main(path: str) -> None:
    """Append from several tasks; print each `seq` and client id after its commit."""
    store = await SqliteStore.open(path)
    if await store.chat("a") is None:
        await room(store, "a", "ann", "bob")

    async def send(who: str, begin: int) -> None:
        for number in count(begin, 8):
            key = f"{who}-{number}"
            appended = await store.append(message("a", who, key, id=f"{path}-{key}", client_message_id=key))
            print(appended.message.seq, key, flush=True)

    begin = (await store.last_position()) + 1
    await asyncio.gather(*(send(who, begin + n) for n in range(8) for who in ("ann", "bob")))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
