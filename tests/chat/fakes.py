"""Stand-ins for what the rules of the chat are given: time, the bus, the store's users."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from hubbub.cluster.base import Connection, Telling, ToEveryone, ToRoom, ToUsers
from hubbub.cluster.local import LocalBus
from hubbub.contract import events
from hubbub.store import records


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self, start: float = 1000.0) -> None:
        self.seconds = start

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class FakeTimer:
    """A call that is still to come."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeTimers:
    """An event loop's clock that a test turns. `pending` counts the calls still to come."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._queue: list[tuple[float, int, FakeTimer]] = []
        self._order = count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None], /) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._queue, (when, next(self._order), timer))
        return timer

    @property
    def pending(self) -> int:
        return sum(timer.callback is not None for _, _, timer in self._queue)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything that falls due in it happen, at its time."""
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            when, _, timer = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            if timer.callback is not None:
                timer.callback()
            await settle()
        self.now = end
        await settle()

    def stall(self, seconds: float) -> None:
        """Let time pass in which nothing can happen."""
        self.now += seconds


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


class BusRecorder(LocalBus):
    """Remembers what was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Telling] = []

    def publish(self, telling: Telling) -> None:
        self.told.append(telling)
        super().publish(telling)

    def take(self) -> list[Telling]:
        """Everything told since the last call."""
        told, self.told = self.told, []
        return told

    def take_events(self) -> list[events.Event]:
        """The events told since the last call."""
        return [
            telling.event for telling in self.take() if isinstance(telling, ToRoom | ToUsers | ToEveryone)
        ]


class FakeDirectory:
    """Users of a store and who shares a chat with whom. Once it has an `error`, everything fails with it."""

    def __init__(self) -> None:
        self.users: dict[str, records.User] = {}
        self.shared: list[set[str]] = []
        self.error: Exception | None = None

    def add(self, user_id: str) -> None:
        self.users[user_id] = records.User(
            id=user_id,
            username=user_id.title(),
            email=f"{user_id}@example.com",
            role="user",
            active=True,
            created_at=0,
        )

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    async def user(self, user_id: str) -> records.User | None:
        return self.users.get(user_id)

    async def count_users(self) -> int:
        return len(self.users)

    async def set_last_seen(self, user_id: str, now: int) -> None:
        await asyncio.sleep(0)
        self._check()
        user = self.users[user_id]
        self.users[user_id] = records.User(
            id=user.id,
            username=user.username,
            email=user.email,
            role=user.role,
            active=user.active,
            created_at=user.created_at,
            last_seen=now,
        )

    async def contacts(self, user_id: str) -> set[str]:
        await asyncio.sleep(0)
        self._check()
        return {user_id}.union(*(chat for chat in self.shared if user_id in chat))


_numbers = count(1)


def connection(user_id: str, *, role: str = "user", connected_at: int = 1_700_000_000_000) -> Connection:
    """A fresh socket of a user."""
    number = next(_numbers)
    return Connection(
        socket_id=f"socket-{number}",
        user_id=user_id,
        username=user_id.title(),
        email=f"{user_id}@example.com",
        role=role,
        address="192.0.2.1",
        user_agent="Mozilla/5.0",
        connected_at=connected_at,
    )
