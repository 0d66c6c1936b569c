"""The heartbeat's clock, spec section "Heartbeat": when to send a PING, and when a client is gone. No I/O."""

from enum import Enum

# Share of the ping timeout that a client has at least, when a busy server sent the PING late.
_LATE_PING_GRACE = 0.75


class Beat(Enum):
    """What the heartbeat asks for."""

    WAIT = "wait"
    PING = "ping"
    TIMEOUT = "timeout"


class Heartbeat:
    """Times of one session's PINGs and PONGs, in seconds of `time.monotonic`.

    The deadline for a PONG counts from when the PING was due, so that coarse timers do not lengthen it.
    """

    __slots__ = ("_interval", "_ping_due", "_pong_due", "_suspended", "_timeout")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._ping_due = now + interval
        # Until when the last PING must be answered; None when it was.
        self._pong_due: float | None = None
        self._suspended = False

    def next_check(self, now: float) -> float:
        """When to call `check` again: for the next PING, which a PONG may allow, or for the timeout."""
        if self._pong_due is None:
            return self._ping_due
        return min(self._ping_due, self._pong_due) if now < self._ping_due else self._pong_due

    def check(self, now: float, *, listening: bool) -> Beat:
        """What is due now. A client that was not listened to since the last check is not judged."""
        if self._suspended and self._pong_due is not None:
            self._pong_due = now + self._timeout
        self._suspended = self._suspended and not listening
        if self._pong_due is not None:
            return Beat.TIMEOUT if now >= self._pong_due else Beat.WAIT
        if now < self._ping_due:
            return Beat.WAIT
        self._pong_due = max(self._ping_due + self._timeout, now + _LATE_PING_GRACE * self._timeout)
        self._ping_due = max(self._ping_due + self._interval, now)
        return Beat.PING

    def suspend(self) -> None:
        """Nothing is read from the client from now on, so it cannot be heard."""
        self._suspended = True

    def answered(self) -> bool:
        """Note a PONG; False when none was asked for."""
        if self._pong_due is None:
            return False
        self._pong_due = None
        return True
