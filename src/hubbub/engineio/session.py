# A stretch of the way in docs/life-of-a-message.md.
"""One client's session, without I/O: state, heartbeat, upgrade, bounded outbox.

Drivers (`polling`, `websocket`) hand in what arrived (`receive`, `deliver`) and carry out what the session
decides through its `Wire`; the application sends by `send`, which only appends: the outbox is flushed once at
the end of the event loop's turn. Time comes in by `heartbeat(now)`.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from hubbub.engineio import closing
from hubbub.engineio.closing import CloseReason
from hubbub.engineio.config import EngineConfig
from hubbub.engineio.heartbeat import Beat, Heartbeat
from hubbub.engineio.packets import CLOSE, MESSAGE, PING, PING_PACKET, PONG, PacketError, Prepared, decode
from hubbub.engineio.requests import Handshake
from hubbub.engineio.states import State, Upgrading
from hubbub.engineio.wire import Wire

log = logging.getLogger(__name__)

# Frames that carry nothing (unasked PONGs, WebSocket pings and pongs) allowed between two heartbeats.
IDLE_FRAMES = 10_000


class Application(Protocol):
    """What lives on top of the sessions. All calls are made on the event loop's thread and must not block."""

    def opened(self, session: "Session") -> None:
        """The handshake is done."""

    def message(self, session: "Session", data: str | bytes) -> None:
        """The client sent a message."""

    def ping_sent(self, session: "Session") -> None:
        """A heartbeat PING was queued, behind everything sent before it."""

    def pong(self, session: "Session") -> None:
        """The client answered the outstanding PING: it has read all that was sent before that PING."""

    def closed(self, session: "Session", reason: CloseReason) -> None:
        """The session is over; called exactly once per `opened`, never from inside `send` or `close`."""


class Turn(Protocol):
    """What many sessions were sent in this turn and do not have in their outboxes yet."""

    @property
    def burst(self) -> object | None:
        """What there is of that."""

    def spread(self) -> None:
        """Put it into the outboxes."""


class Host(Protocol):
    """What all sessions of an engine share."""

    @property
    def config(self) -> EngineConfig:
        """Times and limits."""

    @property
    def application(self) -> Application:
        """Who listens."""

    @property
    def flusher(self) -> "Turn":
        """The end of this turn of the event loop."""

    def wake(self, session: "Session", /) -> None:
        """Call the session's `flush` at the end of this turn of the event loop."""

    def heard(self, session: "Session") -> None:
        """The session's client sent its first message."""

    def forget(self, session: "Session") -> None:
        """The session can no longer be used."""


class Session:
    """One client, over whichever transport it uses now.

    `app` belongs to the application. Its `opened` has been called before it sees the session; after `close`,
    or once the client is gone, `send` does nothing.
    """

    __slots__ = (
        "_heartbeat",
        "_host",
        "_idle_frames",
        "_max_bytes",
        "_max_packets",
        "_opened",
        "_turn",
        "app",
        "candidate",
        "handshake",
        "outbox",
        "posting",
        "queued",
        "reading",
        "reason",
        "sid",
        "silent",
        "state",
        "timer_slot",
        "upgrading",
        "wire",
        "write",
    )

    def __init__(self, sid: str, handshake: Handshake, host: Host, wire: Wire, now: float) -> None:
        self.sid = sid
        self.handshake = handshake
        self.app: object = None
        self._host = host

        # Life.
        self.state = State.OPEN
        self.reason: CloseReason | None = None
        self._opened = False
        self.silent = True

        # Transport. `candidate` is the WebSocket of an upgrade under way.
        self.wire = wire
        self.candidate: Wire | None = None
        self.upgrading = Upgrading.NONE

        # Outgoing: packets not yet handed to the transport, and their size as WebSocket frames. A tuple is
        # shared with other sessions, a list is its own. `write` sends frames, as many bytes as it can, while
        # the wire is a WebSocket with nothing in the way; when it is None, `flush` knows what to do.
        self.outbox: Sequence[Prepared] = ()
        self.queued = 0
        self.write: Callable[[bytes], int] | None = None
        self._turn = host.flusher
        self._max_bytes = host.config.max_outbox_bytes
        self._max_packets = host.config.max_outbox_packets

        # Incoming: whether the application takes more, and whether a POST is being taken in.
        self.reading = True
        self.posting = False
        self._idle_frames = 0

        # Heartbeat.
        self.timer_slot = -1
        self._heartbeat = Heartbeat(host.config.ping_interval, host.config.ping_timeout, now)

    # What the application uses.

    @property
    def transport(self) -> str:
        """The current transport: `polling` or `websocket`."""
        return self.wire.name

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.state is not State.OPEN

    @property
    def backlog(self) -> int:
        """Bytes sent that have not left this process."""
        return self.queued + self.wire.buffered

    def send(self, packet: Prepared) -> None:
        """Queue a packet; it leaves at the end of the loop's turn, in order. Never blocks, never raises.

        A client whose backlog is past the configured bounds is closed as a slow reader instead.
        """
        if self._turn.burst is not None:
            self._turn.spread()
        if self.state is not State.OPEN:
            return
        outbox = self.outbox
        if not outbox:
            self._host.wake(self)
            self.outbox = [packet]
        elif self._is_slow():
            return
        elif isinstance(outbox, list):
            outbox.append(packet)
        else:
            self.outbox = [*outbox, packet]
        self.queued += packet.size

    def send_all(self, packets: tuple[Prepared, ...], size: int) -> None:
        """Queue packets of `size` bytes in all, as `send` would one by one; other sessions get the same."""
        if self.state is not State.OPEN:
            return
        outbox = self.outbox
        if not outbox:
            self._host.wake(self)
            self.outbox = packets
        elif self._is_slow():
            return
        elif isinstance(outbox, list):
            outbox += packets
        else:
            self.outbox = [*outbox, *packets]
        self.queued += size

    def close(self, reason: CloseReason = closing.FORCED_CLOSE) -> None:
        """End the session once what is queued has been sent. Does nothing when it is ending already."""
        if self._turn.burst is not None:
            self._turn.spread()
        if self.state is State.OPEN:
            self.state = State.CLOSING
            self.reason = reason
            self.write = None
            self._host.wake(self)

    def pause_reading(self) -> None:
        """Take no more messages, except what arrived already. The client cannot time out meanwhile."""
        if self.reading:
            self.reading = False
            self._heartbeat.suspend()
            self.wire.pause_reading()

    def resume_reading(self) -> None:
        """Read on after `pause_reading`."""
        if not self.reading:
            self.reading = True
            self.wire.resume_reading()

    # What the drivers and the engine use.

    def opened(self) -> None:
        """Tell the application that the handshake is done. To be called once, after the OPEN packet."""
        self._opened = True
        self._tell(self._host.application.opened, self)

    def receive(self, text: str) -> None:
        """Take one packet from the client.

        Raises `PacketError` for a packet that is malformed or that clients do not send; then call `fail`.
        Whatever follows the end of the session is ignored.
        """
        if self.state is not State.OPEN:
            return
        kind, data = (MESSAGE, text[1:]) if text[:1] == MESSAGE else decode(text)
        if kind == MESSAGE:
            self.deliver(data)
        elif kind == PONG and not data:
            self._pong()
        elif kind == CLOSE and not data:
            self.fail(closing.TRANSPORT_CLOSE)
        elif kind == PING:
            raise PacketError("invalid heartbeat direction")
        else:
            raise PacketError("a packet that clients do not send")

    def deliver(self, data: str | bytes) -> None:
        """Hand a message to the application."""
        if self.state is not State.OPEN:
            return
        if self.silent:
            self.silent = False
            self._host.heard(self)
        self._tell(self._host.application.message, self, data)

    def count_idle_frame(self) -> None:
        """Note a frame that carries nothing; too many of them between two heartbeats end the session."""
        self._idle_frames += 1
        if self._idle_frames > IDLE_FRAMES:
            self.fail(closing.FLOODING)

    def take(self, max_packets: int, max_bytes: int) -> Sequence[Prepared]:
        """Remove packets from the front of the outbox: at least one, then as many as stay within both
        limits.
        """
        count, size = 0, 0
        for packet in self.outbox[:max_packets]:
            size += len(packet.packet) + 1
            if count and size > max_bytes:
                break
            count += 1
        taken, self.outbox = self.outbox[:count], self.outbox[count:]
        self.queued -= sum(packet.size for packet in taken)
        return taken

    def take_all(self) -> Sequence[Prepared]:
        """Empty the outbox."""
        taken, self.outbox = self.outbox, ()
        self.queued = 0
        return taken

    def flush(self) -> None:
        """Send what is queued, and finish a close. Called by the flusher, once a turn."""
        if self.state is State.OPEN:
            self.wire.flush()
        elif self.state is State.CLOSING and self.reason is not None:
            self.state = State.DRAINING
            # A client whose probe was answered may be about to move over. Stock ones poll no more then, and
            # are stuck until their ping timeout when the WebSocket goes away under them.
            if self.upgrading is not Upgrading.PROBED:
                self._drop_candidate()
            self.wire.finish(self.reason)
            self._tell_closed()

    def moved(self) -> None:
        """The client has moved over to this wire: finish a close that was under way."""
        if self.state is State.DRAINING and self.reason is not None:
            self.wire.finish(self.reason)

    def expire(self, now: float) -> float | None:
        """What `Timers` calls: the heartbeat."""
        return self.heartbeat(now)

    def heartbeat(self, now: float) -> float | None:
        """Send a PING or time out if that is due; returns when to call next, None when it is over."""
        if self.state is not State.OPEN:
            return self._linger(now)
        beat = self._heartbeat.check(now, listening=self.reading)
        if beat is Beat.TIMEOUT:
            self.fail(closing.PING_TIMEOUT)
            return None
        if beat is Beat.PING:
            self._idle_frames = 0
            self.send(PING_PACKET)
            self._tell(self._host.application.ping_sent, self)
        return self._heartbeat.next_check(now)

    def fail(self, reason: CloseReason) -> None:
        """End the session at once; nothing that is queued is sent."""
        if self.state in (State.OPEN, State.CLOSING):
            self.state = State.DRAINING
            self.reason = self.reason or reason
            self.write = None
            self._discard()
            self._drop_candidate()
            self.wire.drop(reason)
            self._tell_closed()
        self.end()

    def end(self) -> None:
        """Leave for good: the client has got all it can get."""
        if self.state is State.DRAINING or self.state is State.CLOSING:
            self.state = State.CLOSED
            self._discard()
            self._drop_candidate()
            self._host.forget(self)

    def wake(self) -> None:
        """Flush the outbox at the end of this turn."""
        self._host.wake(self)

    def abandon_upgrade(self) -> None:
        """The candidate of an upgrade is gone; polling continues."""
        self.candidate = None
        self.upgrading = Upgrading.NONE

    # Inside.

    def _linger(self, now: float) -> float | None:
        if self.state is State.CLOSING:
            return now
        # A polling client had since the last heartbeat to fetch the rest.
        self.end()
        return None

    def _pong(self) -> None:
        if self._heartbeat.answered():
            self._tell(self._host.application.pong, self)
        else:
            self.count_idle_frame()

    def _is_slow(self) -> bool:
        """Close a client that is too far behind."""
        slow = self.queued > self._max_bytes or len(self.outbox) >= self._max_packets
        if slow:
            self._discard()
            self.close(closing.SLOW_READER)
        return slow

    def _discard(self) -> None:
        self.outbox = ()
        self.queued = 0

    def _drop_candidate(self) -> None:
        if self.candidate is not None:
            candidate = self.candidate
            self.abandon_upgrade()
            candidate.drop(closing.UPGRADE_FAILED)

    def _tell_closed(self) -> None:
        if self._opened and self.reason is not None:
            self._opened = False
            self._tell(self._host.application.closed, self, self.reason)

    def _tell(self, listener: Callable[..., None], *arguments: object) -> None:
        try:
            listener(*arguments)
        except Exception:
            log.exception("the application failed; its session is closed")
            self.fail(closing.APPLICATION_ERROR)
