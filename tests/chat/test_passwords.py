"""Passwords: judged off the loop, a few at a time, as slowly for nobody as for somebody."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from hubbub.chat.passwords import AT_ONCE, MOST_WAITING, Passwords, Verdict
from hubbub.contract.errors import Code, RequestError

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


class SlowHasher(PasswordHasher):
    """Hashes when it is let, and keeps count of how many do so at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.go = threading.Event()
        self.lock = threading.Lock()
        self.running = 0
        self.most = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override] # noqa: A002 -- the library's names
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.go.wait(10)
        with self.lock:
            self.running -= 1
        return bool(super().verify(hash, password))


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    """Passwords by a cheap hash."""
    made = Passwords(CHEAP)
    yield made
    made.close()


async def test_right_and_wrong(passwords: Passwords) -> None:
    """The right password is right, everything else is wrong, a broken hash included."""
    stored = await passwords.hash("correct horse")
    assert "correct horse" not in stored
    assert stored != await passwords.hash("correct horse")
    assert await passwords.verify(stored, "correct horse") == Verdict(right=True)
    for password_hash, password in (
        (stored, "correct hors"),
        (stored, ""),
        (stored, "\x00"),
        (None, "correct horse"),
        ("", "correct horse"),
        ("no hash", "correct horse"),
        ("$argon2id$broken", "correct horse"),
    ):
        assert await passwords.verify(password_hash, password) == Verdict(right=False)


async def test_an_unknown_user_takes_as_long(passwords: Passwords) -> None:
    """Without a stored hash as much is computed as with one."""
    slow = Passwords(PasswordHasher(time_cost=2, memory_cost=8192, parallelism=1))
    stored = await slow.hash("correct horse")
    took = {}
    for name, password_hash in (("wrong", stored), ("nobody", None)):
        spans = []
        for _ in range(7):
            begun = time.perf_counter()
            await slow.verify(password_hash, "incorrect horse")
            spans.append(time.perf_counter() - begun)
        took[name] = min(spans)
    slow.close()
    assert took["nobody"] > took["wrong"] / 2


async def test_a_storm_does_not_stall_the_loop() -> None:
    """A few are judged at once, a bounded number waits, the rest are told to come again; the loop runs on."""
    hasher = SlowHasher()
    passwords = Passwords(hasher)
    stored = CHEAP.hash("correct horse")
    storm = [asyncio.create_task(passwords.verify(stored, "correct horse")) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(RequestError) as refused:
        await passwords.verify(stored, "correct horse")
    assert (refused.value.code, refused.value.retry_after) == (Code.UNAVAILABLE, 2)
    storm[-1].cancel()
    hasher.go.set()
    verdicts = await asyncio.gather(*storm, return_exceptions=True)
    assert verdicts[:-1] == [Verdict(right=True)] * (MOST_WAITING - 1)
    assert hasher.most <= AT_ONCE
    assert (await passwords.verify(stored, "correct horse")).right
    passwords.close()
