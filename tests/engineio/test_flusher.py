"""When outboxes are flushed: at the end of a turn; large flushes a little later if more is about to come."""

import asyncio
from typing import cast

from hubbub.engineio.flusher import Flusher
from hubbub.engineio.session import Session
from tests.engineio.harness import eventually


class Woken:
    """A session that counts its flushes."""

    write = None

    def __init__(self) -> None:
        self.flushes = 0

    def flush(self) -> None:
        """Be flushed."""
        self.flushes += 1


class Crowd:
    """A burst for many sessions."""

    def __init__(self, flusher: Flusher, size: int) -> None:
        self.flusher = flusher
        self.sessions = [Woken() for _ in range(size)]
        self.spreads = 0

    def spread(self) -> None:
        """Wake all sessions."""
        self.spreads += 1
        for session in self.sessions:
            self.flusher.wake(cast("Session", session))

    def flushes(self) -> set[int]:
        """How often the sessions were flushed."""
        return {session.flushes for session in self.sessions}


async def turns(number: int) -> None:
    """Let the loop turn."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_flush_ends_the_turn() -> None:
    """All that is gathered within a few turns is spread and flushed once."""
    flusher = Flusher()
    crowd = Crowd(flusher, 1000)
    flusher.gather(crowd)
    await turns(1)
    flusher.gather(crowd)
    assert crowd.flushes() == {0}
    await eventually(lambda: crowd.flushes() == {1})
    assert crowd.spreads == 1
    await turns(10)
    assert crowd.flushes() == {1}


async def test_a_large_flush_waits_for_what_is_expected() -> None:
    """While more is expected it waits, and goes as soon as that has come, although still more is expected."""
    flusher = Flusher()
    flusher.expects_more = lambda: True
    crowd = Crowd(flusher, 300)
    flusher.gather(crowd)
    await turns(8)
    assert crowd.flushes() == {0}
    flusher.gather(crowd)
    flusher.gather(crowd)
    await turns(8)
    assert crowd.flushes() == {2}, "woken twice, flushed in one go"


async def test_it_does_not_wait_for_long() -> None:
    """What was expected does not come: the flush goes by the clock."""
    flusher = Flusher()
    flusher.expects_more = lambda: True
    crowd = Crowd(flusher, 300)
    flusher.gather(crowd)
    await eventually(lambda: crowd.flushes() == {1})
    flusher.gather(crowd)
    await eventually(lambda: crowd.flushes() == {2})


async def test_a_small_flush_does_not_wait() -> None:
    """Few sessions are flushed at once, whatever is expected."""
    flusher = Flusher()
    flusher.expects_more = lambda: True
    crowd = Crowd(flusher, 5)
    flusher.gather(crowd)
    await turns(6)
    assert crowd.flushes() == {1}
