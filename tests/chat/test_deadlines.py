"""Deadlines: each key once, after its whole delay, by one timer and one task."""

import asyncio
import logging

import pytest

from hubbub.chat.deadlines import Deadlines
from tests.chat.fakes import FakeTimers, settle


class Actor:
    """Remembers what it was called with, and when; waits for `gate` first."""

    def __init__(self, timers: FakeTimers) -> None:
        self.timers = timers
        self.calls: list[tuple[float, list[str]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False
        self.busy = 0

    async def __call__(self, keys: list[str]) -> None:
        self.busy += 1
        assert self.busy == 1
        await self.gate.wait()
        self.busy -= 1
        self.calls.append((self.timers.now - 1000.0, keys))
        if self.fails:
            raise ValueError("a defect")


def make(delay: float = 2.0) -> tuple[FakeTimers, Actor, Deadlines[str]]:
    """Deadlines by a clock that the test turns."""
    timers = FakeTimers()
    actor = Actor(timers)
    return timers, actor, Deadlines(delay, actor, timers)


async def test_a_key_is_acted_upon_after_its_delay() -> None:
    """Neither before nor twice."""
    timers, actor, deadlines = make()
    deadlines.set("a")
    await timers.advance(1.5)
    assert actor.calls == []
    assert "a" in deadlines
    await timers.advance(10.0)
    assert actor.calls == [(2.0, ["a"])]
    assert "a" not in deadlines


async def test_setting_a_key_again_starts_its_delay_anew() -> None:
    """Only the last time counts, and other keys keep theirs."""
    timers, actor, deadlines = make()
    deadlines.set("a")
    await timers.advance(0.5)
    deadlines.set("b")
    await timers.advance(1.0)
    deadlines.set("a")
    await timers.advance(10.0)
    assert actor.calls == [(2.5, ["b"]), (3.5, ["a"])]


async def test_a_cancelled_key_is_not_acted_upon() -> None:
    """Cancelling takes back, once."""
    timers, actor, deadlines = make()
    deadlines.set("a")
    assert deadlines.cancel("a")
    assert not deadlines.cancel("a")
    await timers.advance(10.0)
    assert actor.calls == []


async def test_a_thousand_keys_need_one_timer() -> None:
    """However many wait, one timer runs; those that fall due together come together."""
    timers, actor, deadlines = make()
    for number in range(1000):
        deadlines.set(str(number))
        deadlines.set(str(number))
    assert timers.pending == 1
    assert len(deadlines) == 1000
    await timers.advance(2.0)
    assert [len(keys) for _, keys in actor.calls] == [1000]
    assert timers.pending == 0


async def test_calls_do_not_overlap() -> None:
    """While one call is busy nothing else begins; what fell due meanwhile follows."""
    timers, actor, deadlines = make()
    actor.gate.clear()
    deadlines.set("a")
    await timers.advance(2.0)
    deadlines.set("b")
    await timers.advance(5.0)
    assert actor.calls == []
    assert timers.pending == 0
    actor.gate.set()
    await settle()
    await timers.advance(0.0)
    assert actor.calls == [(7.0, ["a"]), (7.0, ["b"])]


async def test_an_error_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A failing call is a defect to be seen; later keys are acted upon all the same."""
    timers, actor, deadlines = make()
    actor.fails = True
    deadlines.set("a")
    with caplog.at_level(logging.ERROR):
        await timers.advance(2.0)
    assert len(caplog.records) == 1
    deadlines.set("b")
    await timers.advance(2.0)
    assert [keys for _, keys in actor.calls] == [["a"], ["b"]]


async def test_closing_returns_what_was_waiting() -> None:
    """Closing waits for what has begun, hands back the rest, and leaves neither timer nor task."""
    timers, actor, deadlines = make()
    actor.gate.clear()
    deadlines.set("a")
    await timers.advance(2.0)
    deadlines.set("b")
    closing = asyncio.create_task(deadlines.close())
    await settle()
    assert not closing.done()
    actor.gate.set()
    assert await closing == ["b"]
    assert [keys for _, keys in actor.calls] == [["a"]]
    deadlines.set("c")
    assert timers.pending == 0


async def test_by_the_clock_of_the_running_loop() -> None:
    """Without a clock of its own it goes by that of the event loop."""
    done: asyncio.Future[tuple[list[str], float]] = asyncio.get_running_loop().create_future()

    async def act(keys: list[str]) -> None:
        done.set_result((keys, asyncio.get_running_loop().time()))

    deadlines = Deadlines(0.02, act)
    begun = asyncio.get_running_loop().time()
    deadlines.set("a")
    keys, ended = await asyncio.wait_for(done, 5)
    assert keys == ["a"]
    assert ended - begun >= 0.019
    assert await deadlines.close() == []
