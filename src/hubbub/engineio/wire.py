"""The seam between a session and the driver of its transport."""

from typing import Protocol

from hubbub.engineio.closing import CloseReason


class Wire(Protocol):
    """The driver of a session's current transport, as the session uses it."""

    name: str

    @property
    def buffered(self) -> int:
        """Bytes that left the outbox but not this process."""

    def flush(self) -> None:
        """Send as much of the session's outbox as the transport takes now."""

    def push(self, frames: bytes) -> None:
        """Send frames, or a rest of them, that the session's `write` did not take."""

    def release(self) -> None:
        """Let go of a held request, for an upgrade is under way."""

    def finish(self, reason: CloseReason) -> None:
        """Send all of the outbox, then close; call `session.end` when nothing more can be delivered."""

    def drop(self, reason: CloseReason) -> None:
        """Close now; the session is over already."""

    def pause_reading(self) -> None:
        """Take no more from the client until `resume_reading`."""

    def resume_reading(self) -> None:
        """Read on."""
