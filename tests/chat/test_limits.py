"""Limits: which refusal each rate gives, and what `off` means."""

import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from hubbub.chat.limits import Limits, Rates
from hubbub.cluster.local import LocalLimiter
from hubbub.contract.errors import Code, RequestError
from tests.chat.fakes import FakeClock


@dataclasses.dataclass(frozen=True)
class Rate:
    """So many in so many seconds."""

    count: int
    seconds: float


DOCUMENTED = Rates(
    connection=Rate(5, 300.0),
    connection_block=900.0,
    message=Rate(100, 60.0),
    typing=Rate(10, 60.0),
    request=Rate(6000, 60.0),
)
OFF = Rates(connection=None, connection_block=900.0, message=None, typing=None, request=None)

REFUSALS = {
    "message": (100, "Message rate limit exceeded. Please slow down."),
    "typing": (10, "Typing rate limit exceeded. Please slow down."),
    "request": (6000, "Request rate limit exceeded. Please slow down."),
}


def count(limits: Limits, name: str) -> Callable[[str], Awaitable[None]]:
    """The call that counts such an attempt."""
    calls = {"message": limits.message, "typing": limits.typing, "request": limits.request}
    return calls[name]


@pytest.mark.parametrize(("name", "allowed", "text"), [(name, *row) for name, row in REFUSALS.items()])
async def test_one_more_than_the_rate_is_refused(name: str, allowed: int, text: str) -> None:
    """Exactly as many succeed as the document says; the next one is told what, why and until when."""
    clock = FakeClock()
    attempt = count(Limits(LocalLimiter(clock), DOCUMENTED), name)
    for _ in range(allowed):
        await attempt("user")
    clock.advance(20.5)
    with pytest.raises(RequestError) as refusal:
        await attempt("user")
    assert (refusal.value.message, refusal.value.code) == (text, Code.RATE_LIMITED)
    assert refusal.value.retry_after == 40
    await attempt("other user")
    clock.advance(40.0)
    await attempt("user")


async def test_refused_attempts_do_not_count() -> None:
    """A client that keeps trying is not punished: a minute after the first success there is room again."""
    clock = FakeClock()
    limits = Limits(LocalLimiter(clock), DOCUMENTED)
    for _ in range(100):
        await limits.message("user")
    for _ in range(59):
        clock.advance(1.0)
        with pytest.raises(RequestError):
            await limits.message("user")
    clock.advance(1.0)
    for _ in range(100):
        await limits.message("user")


async def test_the_kinds_are_counted_apart() -> None:
    """Who may type no more may still send."""
    limits = Limits(LocalLimiter(FakeClock()), DOCUMENTED)
    for _ in range(10):
        await limits.typing("user")
    with pytest.raises(RequestError):
        await limits.typing("user")
    for _ in range(100):
        await limits.message("user")
    await limits.request("user")
    assert await limits.connection("user") is None


async def test_an_address_is_blocked_after_too_many_attempts() -> None:
    """5 attempts in 5 minutes, then 15 minutes without any; `retryAfter` counts down."""
    clock = FakeClock()
    limits = Limits(LocalLimiter(clock), DOCUMENTED)
    assert [await limits.connection("192.0.2.1") for _ in range(6)] == [None] * 5 + [900]
    clock.advance(400.0)
    assert await limits.connection("192.0.2.1") == 500
    assert await limits.connection("192.0.2.2") is None
    clock.advance(500.0)
    assert await limits.connection("192.0.2.1") is None


async def test_what_is_off_has_no_limit() -> None:
    """A rate of None lets everything through and remembers nothing."""
    limiter = LocalLimiter(FakeClock())
    limits = Limits(limiter, OFF)
    for _ in range(200):
        assert await limits.connection("192.0.2.1") is None
        for name in REFUSALS:
            await count(limits, name)("user")
    assert len(limiter) == 0
