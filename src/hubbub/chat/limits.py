"""Limits: how often users and addresses may do what (contract, section 8).

What is refused does not count, so a client that waits `retryAfter` seconds succeeds.
"""

from dataclasses import dataclass
from typing import Protocol

from hubbub.cluster.base import Limiter
from hubbub.contract import errors


class Rate(Protocol):
    """At most `count` in any `seconds`."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def seconds(self) -> float:
        """In how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The rates in force, None is no limit; an address beyond its rate waits `connection_block` seconds."""

    connection: Rate | None
    connection_block: float
    message: Rate | None
    typing: Rate | None
    request: Rate | None


class Limits:
    """Counts attempts, over all nodes, and refuses those beyond the rates."""

    def __init__(self, limiter: Limiter, rates: Rates) -> None:
        self._limiter = limiter
        self._rates = rates

    async def connection(self, address: str) -> int | None:
        """Count a connection attempt; None when it may go on, otherwise the seconds until the next may."""
        rate = self._rates.connection
        if rate is None:
            return None
        key = f"connection:{address}"
        return await self._limiter.hit(key, rate.count, rate.seconds, self._rates.connection_block)

    async def message(self, user_id: str) -> None:
        """Count a message. Raises `RequestError` beyond the rate."""
        rate = self._rates.message
        if rate is None:
            return
        wait = await self._limiter.hit(f"message:{user_id}", rate.count, rate.seconds)
        if wait is not None:
            raise errors.message_rate_exceeded(wait)

    async def typing(self, user_id: str) -> None:
        """Count a typing event. Raises `RequestError` beyond the rate."""
        rate = self._rates.typing
        if rate is None:
            return
        wait = await self._limiter.hit(f"typing:{user_id}", rate.count, rate.seconds)
        if wait is not None:
            raise errors.typing_rate_exceeded(wait)

    async def request(self, user_id: str) -> None:
        """Count a request of any kind. Raises `RequestError` beyond the rate."""
        rate = self._rates.request
        if rate is None:
            return
        wait = await self._limiter.hit(f"request:{user_id}", rate.count, rate.seconds)
        if wait is not None:
            raise errors.request_rate_exceeded(wait)
