"""Loop lag: how late the loop was of late, not for ever."""

import asyncio

from hubbub.chat.lag import INTERVAL, SAMPLES, LoopLag
from tests.chat.fakes import FakeTimers


async def test_a_loop_on_time_has_no_lag() -> None:
    """Time that passes as it should is no lag."""
    timers = FakeTimers()
    lag = LoopLag(timers)
    lag.start()
    await timers.advance(20.0)
    assert lag.worst() == 0.0
    lag.close()
    assert timers.pending == 0


async def test_the_worst_lag_is_told_and_forgotten() -> None:
    """A stall shows at once, stays for the last 5 s, and is over then."""
    timers = FakeTimers()
    lag = LoopLag(timers)
    lag.start()
    timers.stall(INTERVAL + 0.75)
    await timers.advance(0.0)
    assert lag.worst() == 0.75
    await timers.advance(INTERVAL * (SAMPLES - 1))
    assert lag.worst() == 0.75
    await timers.advance(INTERVAL)
    assert lag.worst() == 0.0
    lag.close()


async def test_it_measures_the_running_loop() -> None:
    """Started within a loop it goes by that; closing takes its timer away."""
    lag = LoopLag()
    lag.start()
    lag.close()
    lag.close()
    await asyncio.sleep(0)
    assert lag.worst() == 0.0
