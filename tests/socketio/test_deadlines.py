"""One timer for any number of equally long deadlines."""

import asyncio
from collections.abc import Callable

from hubbub.socketio.deadlines import Deadlines
from tests.socketio.fakes import eventually


def note(names: list[str], name: str) -> Callable[[], None]:
    """Something that expires, and leaves its name."""
    return lambda: names.append(name)


async def test_expire_in_their_order_unless_stopped() -> None:
    """What was started again waits anew; what was stopped is not called; nothing is called twice."""
    deadlines, names = Deadlines(0.02), list[str]()
    first, second, third = note(names, "first"), note(names, "second"), note(names, "third")
    for expired in (first, second, third, first):
        deadlines.start(expired)
    deadlines.stop(second)
    deadlines.stop(note(names, "never started"))
    await eventually(lambda: len(names) == 2)
    assert names == ["third", "first"]
    assert len(deadlines) == 0
    assert deadlines._timer is None


async def test_not_before_their_time() -> None:
    """A deadline has all of its delay, also when the timer was set for an earlier one."""
    deadlines, ends = Deadlines(0.05), list[float]()
    loop = asyncio.get_running_loop()
    deadlines.start(lambda: ends.append(loop.time()))
    await asyncio.sleep(0.03)
    started = loop.time()
    deadlines.start(lambda: ends.append(loop.time()))
    await eventually(lambda: len(ends) == 2)
    assert ends[1] - started >= 0.05


async def test_no_timer_without_deadlines() -> None:
    """The last one to be stopped takes the timer with it."""
    deadlines = Deadlines(60)
    expired = note([], "")
    deadlines.start(expired)
    assert deadlines._timer is not None
    deadlines.stop(expired)
    assert deadlines._timer is None
