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

    __slots__ = ("_interval", "_ping_due", "_ping_held", "_pong_due", "_suspended", "_timeout")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._ping_due = now + interval
        # Until when the last PING must be answered; None when it was.
        self._pong_due: float | None = None
        # Whether there is nothing to do before that: the next PING is due later, or waits for the PONG.
        self._ping_held = False
        self._suspended = False

    @property
    def next_check(self) -> float:
        """When to call `check` again: for the next PING, which a PONG may allow, or else for the timeout."""
        if self._pong_due is None or not self._ping_held:
            return self._ping_due
        return self._pong_due

    def check(self, now: float, *, listening: bool) -> Beat:
        """What is due now. A client that was not listened to since the last check is not judged."""
        if self._suspended and self._pong_due is not None:
            self._pong_due = now + self._timeout
        self._suspended = self._suspended and not listening
        if self._pong_due is not None:
            self._ping_held = now >= self._ping_due
            return Beat.TIMEOUT if now >= self._pong_due else Beat.WAIT
        if now < self._ping_due:
            return Beat.WAIT
        self._pong_due = max(self._ping_due + self._timeout, now + _LATE_PING_GRACE * self._timeout)
        self._ping_due = max(self._ping_due + self._interval, now)
        self._ping_held = self._ping_due >= self._pong_due
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
