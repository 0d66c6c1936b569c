"""Passwords: hashed with Argon2 off the loop, a few at a time.

A hash costs tens of milliseconds and tens of megabytes on purpose. So that a storm of logins neither stalls
the loop nor fills the memory, two are at work at once and a bounded number waits; the rest are told to come
again.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hubbub.contract import errors

T = TypeVar("T")

AT_ONCE: Final = 2
MOST_WAITING: Final = 64
"""Hashes under way and waiting beyond which more are refused; a storm waits some seconds at most."""


class Verdict(msgspec.Struct, frozen=True):
    """Whether a password is right; `rehashed` is its hash by today's parameters, when the stored one is
    older.
    """

    right: bool
    rehashed: str | None = None


class Passwords:
    """Hashes and verifies passwords. `close` it."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """`hasher` decides the cost; RFC 9106's second recommendation when not given."""
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
        self._decoy = self._threads.submit(self._hasher.hash, secrets.token_urlsafe())
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return a new hash. Raises `RequestError` (UNAVAILABLE) when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> Verdict:
        """Judge a password; without a hash it is wrong, which takes just as long to find.

        Raises `RequestError` (UNAVAILABLE) when too many wait.
        """
        return await self._run(lambda: self._judge(password_hash, password))

    def _judge(self, password_hash: str | None, password: str) -> Verdict:
        try:
            self._hasher.verify(password_hash or self._decoy.result(), password)
        except (VerificationError, InvalidHashError):
            return Verdict(right=False)
        if password_hash is None:
            return Verdict(right=False)
        stale = self._hasher.check_needs_rehash(password_hash)
        return Verdict(right=True, rehashed=self._hasher.hash(password) if stale else None)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise errors.unavailable(retry_after=2)
        self._waiting += 1
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        job.add_done_callback(self._done)
        return await job

    def _done(self, job: "asyncio.Future[T]") -> None:
        self._waiting -= 1

    def close(self) -> None:
        """Let what runs finish, drop what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)
