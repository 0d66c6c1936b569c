"""Deadlines in buckets."""

import asyncio
from collections.abc import Callable
from time import monotonic

import pytest

from hubbub.engineio import timers as timers_module
from hubbub.engineio.timers import Timers
from tests.engineio.harness import eventually

TICK = 0.01


class Item:
    """Records when it expired; does what `then` says."""

    def __init__(self, then: Callable[[float], float | None] = lambda _now: None) -> None:
        self.timer_slot = -1
        self.expired: list[float] = []
        self._then = then

    def expire(self, now: float) -> float | None:
        self.expired.append(now)
        return self._then(now)


async def test_never_early_and_in_order() -> None:
    """Items expire at or after their time, earlier ones first."""
    timers, start = Timers(TICK), monotonic()
    order: list[int] = []
    items = [Item(lambda _now, n=n: order.append(n)) for n in range(5)]  # type: ignore[misc]
    for number in (3, 0, 4, 1, 2):
        timers.schedule(items[number], start + 0.02 * (number + 1))
    await eventually(lambda: len(timers) == 0)
    assert order == [0, 1, 2, 3, 4]
    assert all(item.expired[0] >= start + 0.02 * (number + 1) for number, item in enumerate(items))


async def test_cancelled_items_do_not_expire() -> None:
    """A cancelled item is gone, also when one that expires with it cancels it; once more does no harm."""
    timers, when = Timers(TICK), monotonic() + 0.03
    pair: list[Item] = []
    pair += [Item(lambda _now: timers.cancel(pair[1])), Item(lambda _now: timers.cancel(pair[0]))]
    early, witness = Item(), Item()
    timers.schedule(early, when)
    for item in pair:
        timers.schedule(item, when)
    timers.schedule(witness, when + 3 * TICK)
    timers.cancel(early)
    timers.cancel(early)
    await eventually(lambda: bool(witness.expired))
    assert not early.expired
    assert len(pair[0].expired) + len(pair[1].expired) == 1


async def test_moving_an_item() -> None:
    """An item waits once: scheduling it anew replaces its time."""
    timers, start = Timers(TICK), monotonic()
    item = Item()
    timers.schedule(item, start + 0.02)
    timers.schedule(item, start + 0.08)
    assert len(timers) == 1
    await eventually(lambda: bool(item.expired))
    assert item.expired[0] >= start + 0.08
    assert len(timers) == 0


async def test_items_that_come_again() -> None:
    """An item that returns a time waits again."""
    item = Item(lambda now: now + 0.01 if len(item.expired) < 3 else None)
    timers = Timers(TICK)
    timers.schedule(item, monotonic())
    await eventually(lambda: len(item.expired) == 3 and len(timers) == 0)


async def test_no_timer_without_items() -> None:
    """An engine without clients does not wake the process."""
    timers, item = Timers(TICK), Item()
    timers.schedule(item, monotonic() + 5)
    timers.cancel(item)
    await eventually(lambda: timers._timer is None)


async def test_one_failing_item_does_not_stop_the_others() -> None:
    """An error in one item reaches the loop's handler, and the timer goes on."""
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: errors.append(context["exception"])
    )

    def fail(_now: float) -> float | None:
        raise RuntimeError("a bug")

    timers, witness = Timers(TICK), Item()
    timers.schedule(Item(fail), monotonic())
    timers.schedule(witness, monotonic() + 5 * TICK)
    await eventually(lambda: bool(witness.expired))
    assert len(errors) == 1


async def test_a_stalled_loop_judges_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stall the sockets are read once before deadlines count."""
    timers, item = Timers(TICK), Item()
    timers.schedule(item, monotonic() + 0.02)
    ahead = 0.0
    monkeypatch.setattr(timers_module, "monotonic", lambda: monotonic() + ahead)
    ahead = 10.0
    assert timers.stalled(monotonic() + ahead)
    await asyncio.sleep(0)
    timers._run()
    assert not item.expired
    await eventually(lambda: bool(item.expired))
