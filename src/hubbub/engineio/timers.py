"""Deadlines by the thousand: coarse buckets and one timer of the event loop for all of them.

An item is kept once, in the bucket of its time; the timer runs only while there are items.
"""

import asyncio
from time import monotonic
from typing import Protocol

# A loop that was this late did not read its sockets either: nobody is judged until it has had a turn to read.
_STALL = 1.0
_NOT_SCHEDULED = -1


class Expiring(Protocol):
    """Something with a deadline. `timer_slot` belongs to `Timers` and starts as -1."""

    timer_slot: int

    def expire(self, now: float) -> float | None:
        """The deadline has come; returns the next one, or None."""


class Timers:
    """Deadlines kept to within one `tick` (seconds), never early. Use on the event loop's thread only."""

    def __init__(self, tick: float) -> None:
        self._tick = tick
        self._buckets: dict[int, set[Expiring]] = {}
        self._timer: asyncio.TimerHandle | None = None
        # The first slot that has not run yet, and when the timer should fire.
        self._next_slot = 0
        self._expected = 0.0

    def __len__(self) -> int:
        """How many items wait."""
        return sum(len(bucket) for bucket in self._buckets.values())

    def schedule(self, item: Expiring, when: float) -> None:
        """Call `item.expire` at `when` (`time.monotonic`), in place of the time it may wait for now."""
        self.cancel(item)
        if self._timer is None:
            now = monotonic()
            self._next_slot = int(now / self._tick)
            self._start(now)
        item.timer_slot = max(int(when / self._tick) + 1, self._next_slot)
        self._buckets.setdefault(item.timer_slot, set()).add(item)

    def cancel(self, item: Expiring) -> None:
        """Forget the item; nothing happens when it does not wait."""
        bucket = self._buckets.get(item.timer_slot)
        if bucket is not None:
            bucket.discard(item)
            if not bucket:
                del self._buckets[item.timer_slot]
        item.timer_slot = _NOT_SCHEDULED

    def stalled(self, now: float) -> bool:
        """Whether the event loop is so late that deadlines say nothing about the clients."""
        return self._timer is not None and now - self._expected > _STALL

    def close(self) -> None:
        """Forget everything."""
        for bucket in list(self._buckets.values()):
            for item in list(bucket):
                self.cancel(item)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, now: float) -> None:
        self._expected = now + self._tick
        self._timer = asyncio.get_running_loop().call_later(self._tick, self._run)

    def _run(self) -> None:
        now = monotonic()
        late = self.stalled(now)
        self._timer = None
        try:
            if not late:
                self._expire(now)
        finally:
            # An item that scheduled itself anew has started the timer already.
            if self._buckets and self._timer is None:
                self._start(monotonic())

    def _expire(self, now: float) -> None:
        current = int(now / self._tick)
        self._next_slot = current + 1
        for slot in sorted(slot for slot in self._buckets if slot <= current):
            for item in self._buckets.pop(slot):
                # An item that ran before may have cancelled or moved this one.
                if item.timer_slot == slot:
                    self._expire_one(item, now)

    def _expire_one(self, item: Expiring, now: float) -> None:
        item.timer_slot = _NOT_SCHEDULED
        again = item.expire(now)
        if again is not None:
            self.schedule(item, again)
