"""Stand-ins for a session's surroundings."""

from collections.abc import Callable

from hubbub.engineio import CloseReason, EngineConfig, Session, prepare_text
from hubbub.engineio.flusher import Flusher
from hubbub.engineio.requests import Handshake
from tests.engineio.harness import Recorder

CONFIG = EngineConfig(ping_interval=25, ping_timeout=20, max_outbox_bytes=1000, max_outbox_packets=10)
SMALL = prepare_text("x")


class FakeWire:
    """Records what the session asks of its driver."""

    def __init__(self, name: str = "polling") -> None:
        self.name = name
        self.buffered = 0
        self.calls: list[str] = []
        self.reasons: list[CloseReason] = []

    def flush(self) -> None:
        self.calls.append("flush")

    def push(self, frames: bytes) -> None:
        self.calls.append("push")

    def release(self) -> None:
        self.calls.append("release")

    def finish(self, reason: CloseReason) -> None:
        self.calls.append("finish")
        self.reasons.append(reason)

    def drop(self, reason: CloseReason) -> None:
        self.calls.append("drop")
        self.reasons.append(reason)

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class FakeHost:
    """The engine as a session sees it: `turn` ends a turn of the loop."""

    def __init__(self, config: EngineConfig = CONFIG) -> None:
        self.config = config
        self.application = Recorder(echo=False)
        self.flusher = Flusher()
        self.woken: list[Session] = []
        self.wake: Callable[[Session], None] = self.woken.append
        self.talking: list[Session] = []
        self.forgotten: list[Session] = []

    def heard(self, session: Session) -> None:
        self.talking.append(session)

    def forget(self, session: Session) -> None:
        self.forgotten.append(session)

    def turn(self) -> None:
        woken = list(self.woken)
        self.woken.clear()
        for session in woken:
            session.flush()


def open_session(host: FakeHost, wire: FakeWire | None = None) -> tuple[Session, FakeWire]:
    """A session opened at 0 s."""
    wire = wire or FakeWire()
    session = Session("sid", Handshake("127.0.0.1", wire.name, 0.0), host, wire, 0.0)
    session.opened()
    return session, wire
