"""What a limiter promises: the first N in any window succeed, exactly."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.cluster.base import Limiter
from hubbub.cluster.local import LocalLimiter
from tests.chat.fakes import FakeClock
from tests.cluster.implementations import NAMES, open_ports

# Examples for each: one attempt takes the one a microsecond, the other a round trip.
EXAMPLES = {"local": 100, "valkey": 15}

# Multiples of 1/8 s are exact as floats, so the model below needs no tolerance.
STEPS = st.integers(0, 40).map(lambda eighths: eighths / 8)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the limiter."""
    return FakeClock()


@pytest.fixture(params=NAMES)
async def limiter(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Limiter]:
    """One of the implementations."""
    async with open_ports(request.param, clock) as ports:
        yield ports.limiter


class NaiveLimiter:
    """The promise word for word: remembers everything, and looks at all of it each time."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._succeeded: dict[str, list[float]] = {}
        self._blocked_until: dict[str, float] = {}

    def hit(self, key: str, limit: int, window: float, block: float) -> bool:
        now = self._clock()
        if now < self._blocked_until.get(key, now):
            return False
        times = self._succeeded.setdefault(key, [])
        if sum(now - time < window for time in times) >= limit:
            if block:
                self._blocked_until[key] = now + block
            return False
        times.append(now)
        return True


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_promise(name: str) -> None:
    """Whatever the timing, an attempt succeeds exactly when the promise says so."""

    async def check(steps: list[tuple[float, str]], limit: int, window: float, block: float) -> None:
        clock = FakeClock()
        naive = NaiveLimiter(clock)
        async with open_ports(name, clock) as ports:
            for step, key in steps:
                clock.advance(step)
                answer = await ports.limiter.hit(key, limit, window, block)
                assert (answer is None) == naive.hit(key, limit, window, block)

    @settings(max_examples=EXAMPLES[name], deadline=None)
    @given(
        steps=st.lists(st.tuples(STEPS, st.sampled_from("ab")), max_size=150),
        limit=st.integers(1, 5),
        window=st.integers(1, 40).map(lambda eighths: eighths / 8),
        block=st.sampled_from((0.0, 0.5, 3.0, 12.0)),
    )
    def promise(steps: list[tuple[float, str]], limit: int, window: float, block: float) -> None:
        asyncio.run(check(steps, limit, window, block))

    promise()


@pytest.mark.parametrize("name", NAMES)
def test_after_the_time_it_names_the_next_attempt_succeeds(name: str) -> None:
    """`retryAfter` is the least number of whole seconds, at least 1, after which an attempt succeeds."""

    async def check(steps: list[float], limit: int, block: float) -> None:
        clock = FakeClock()
        async with open_ports(name, clock) as ports:
            for step in steps:
                clock.advance(step)
                wait = await ports.limiter.hit("key", limit, 5.0, block)
                if wait is not None:
                    assert wait >= 1
                    clock.advance(wait - 1)
                    if wait > 1:
                        assert await ports.limiter.hit("key", limit, 5.0, block) is not None
                    clock.advance(1.0)
                    assert await ports.limiter.hit("key", limit, 5.0, block) is None

    @settings(max_examples=EXAMPLES[name], deadline=None)
    @given(steps=st.lists(STEPS, max_size=100), limit=st.integers(1, 4), block=st.sampled_from((0.0, 7.0)))
    def promise(steps: list[float], limit: int, block: float) -> None:
        asyncio.run(check(steps, limit, block))

    promise()


async def test_a_block_outlasts_the_window(limiter: Limiter, clock: FakeClock) -> None:
    """The attempt beyond the limit starts a block, which attempts during it do not prolong."""
    for _ in range(5):
        assert await limiter.hit("address", 5, 300.0, 900.0) is None
    assert await limiter.hit("address", 5, 300.0, 900.0) == 900
    clock.advance(600.0)
    assert await limiter.hit("address", 5, 300.0, 900.0) == 300
    clock.advance(299.5)
    assert await limiter.hit("address", 5, 300.0, 900.0) == 1
    clock.advance(0.5)
    assert await limiter.hit("address", 5, 300.0, 900.0) is None


async def test_keys_do_not_touch_each_other(limiter: Limiter) -> None:
    """Each key has its own count."""
    assert [await limiter.hit(key, 1, 60.0) for key in ("a", "b", "a")] == [None, None, 60]


async def test_a_limit_of_nothing_lets_nothing_through(limiter: Limiter) -> None:
    """With a limit of 0 every attempt fails."""
    assert await limiter.hit("a", 0, 60.0) == 60
    assert await limiter.hit("a", 0, 60.0) == 60


async def test_a_full_window_of_the_request_rate_is_exact() -> None:
    """6000 a minute: the 6001st fails, and each success makes room again exactly a minute later."""
    clock = FakeClock(0.0)
    limiter = LocalLimiter(clock)
    for _ in range(6000):
        assert await limiter.hit("user", 6000, 60.0) is None
        clock.advance(0.0078125)
    assert await limiter.hit("user", 6000, 60.0) == 60 - int(clock() - 0)
    successes: list[float] = []
    clock.seconds = 59.9921875
    for _ in range(1000):
        if await limiter.hit("user", 6000, 60.0) is None:
            successes.append(clock())
        clock.advance(0.0078125)
    assert successes[0] == 60.0
    assert {later - earlier for earlier, later in pairwise(successes)} == {0.0078125}


async def test_idle_keys_are_forgotten() -> None:
    """Keys that nobody uses are dropped within two windows; those in use stay, with their counts."""
    clock = FakeClock()
    limiter = LocalLimiter(clock)
    for number in range(1000):
        await limiter.hit(f"user {number}", 10, 60.0)
    for _ in range(4):
        clock.advance(40.0)
        assert await limiter.hit("busy", 2, 60.0) is None
    assert len(limiter) == 1
    assert await limiter.hit("busy", 2, 60.0) == 20


async def test_a_blocked_key_is_remembered_to_the_end_of_its_block() -> None:
    """A block that is longer than the window holds however busy other keys are; then the key is dropped."""
    clock = FakeClock()
    limiter = LocalLimiter(clock)
    await limiter.hit("early", 1, 60.0, 600.0)
    clock.advance(59.0)
    await limiter.hit("address", 1, 60.0, 600.0)
    assert await limiter.hit("address", 1, 60.0, 600.0) == 600
    for _ in range(599):
        clock.advance(1.0)
        await limiter.hit("busy", 1000, 60.0)
    assert await limiter.hit("address", 1, 60.0, 600.0) == 1
    for _ in range(2):
        clock.advance(600.0)
        await limiter.hit("busy", 1000, 60.0)
    assert len(limiter) == 1


async def test_a_steady_user_is_remembered_for_one_window_only() -> None:
    """What a key costs does not grow with time: successes that left the window are cut off."""
    clock = FakeClock()
    limiter = LocalLimiter(clock)
    for _ in range(20_000):
        assert await limiter.hit("user", 6000, 60.0) is None
        clock.advance(1.0)
    (keys,) = limiter._by_window.values()
    log = keys.young.get("user") or keys.old["user"]
    assert len(log.times) <= 130


async def test_who_is_counted_often_holds_up_nobody_else() -> None:
    """A user may ask by a thousand sockets at once, each attempt a look of its own: who comes behind them is
    counted beside them.
    """
    async with open_ports("valkey") as ports:
        crowd = [asyncio.create_task(ports.limiter.hit("mallory", 3, 60.0)) for _ in range(1000)]
        await asyncio.sleep(0)
        assert await ports.limiter.hit("ann", 3, 60.0) is None
        assert sum(one.done() for one in crowd) < 100
        answers = await asyncio.gather(*crowd)
        assert (answers.count(None), set(answers[:3])) == (3, {None})
