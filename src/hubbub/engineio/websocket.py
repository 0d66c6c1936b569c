# A stretch of the way in docs/life-of-a-message.md.
"""The WebSocket driver: an asyncio protocol that the HTTP protocol hands each upgraded connection to.

`connection_made` and `shake_hands` are called by `guard.GuardedHttp`, the rest by the transport afterwards.
What `frames.FrameReader` understands of the bytes goes to the session, and the session's outbox is written as
ready-made frames, one `write` a turn.
"""

import asyncio
import socket
from collections.abc import Callable
from enum import Enum
from time import monotonic
from typing import cast

from uvicorn.server import ServerState
from websockets.protocol import SEND_EOF

from hubbub.engineio import closing, upgrade
from hubbub.engineio.closing import CloseReason
from hubbub.engineio.frames import FrameReader, Incoming
from hubbub.engineio.handshake import accept_upgrade, open_packet
from hubbub.engineio.nodes import Elsewhere
from hubbub.engineio.packets import PacketError, join_frames
from hubbub.engineio.parts import Parts
from hubbub.engineio.refusals import Refusal
from hubbub.engineio.requests import Request
from hubbub.engineio.session import Session
from hubbub.engineio.states import State

# Bytes parsed at a time, so that a paused session or a flood is noticed before all that arrived is parsed.
_SLICE = 16_384

_ENDS = {
    Incoming.CLOSE: closing.TRANSPORT_CLOSE,
    Incoming.BROKEN: closing.TRANSPORT_ERROR,
    Incoming.TOO_BIG: closing.TOO_BIG,
    Incoming.FLOOD: closing.FLOODING,
}


class Phase(Enum):
    """Where a connection stands."""

    HANDSHAKE = "handshake"
    UPGRADING = "upgrading"  # the candidate of a polling session
    OPEN = "open"
    CLOSING = "closing"  # our last frame is written; waiting for the client to hang up
    CLOSED = "closed"


class WebSocket(asyncio.Protocol):
    """One WebSocket connection; the `Wire` of its session. Uvicorn knows it as one of its connections."""

    __slots__ = (
        "_connections",
        "_held",
        "_parts",
        "_paused",
        "_phase",
        "_reader",
        "_session",
        "_socket",
        "_transport",
        "timer_slot",
    )

    name = "websocket"

    def __init__(self, parts: Parts, server_state: ServerState) -> None:
        self._parts = parts
        # Typed by uvicorn as its own protocol classes only.
        self._connections = cast("set[object]", server_state.connections)
        self._reader: FrameReader | None = None
        self._transport: asyncio.Transport
        self._session: Session | None = None
        self._phase = Phase.HANDSHAKE
        self.timer_slot = -1

        # Incoming: bytes kept back while the session's reading is paused.
        self._held = b""

        # Outgoing: whether the transport holds bytes that could not be written; the same socket that it has,
        # to write to while it holds none.
        self._paused = False
        self._socket: socket.socket | None = None

    # What uvicorn and the event loop call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The upgrade request's connection is handed over."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._parts.registry.sockets.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of frames."""
        if self._phase is Phase.CLOSING or (len(data) <= _SLICE and not self._held):
            self._feed(data)
        else:
            self._held += data
            self._feed_held()

    def eof_received(self) -> None:
        """Returns None: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        session = self._session
        was_candidate = self._phase is Phase.UPGRADING
        self._phase = Phase.CLOSED
        self._connections.discard(self)
        self._parts.timers.cancel(self)
        if self._socket is not None:
            self._socket.detach()  # it is the transport's to close
        if session is not None and was_candidate:
            session.abandon_upgrade()
        elif session is not None:
            session.fail(closing.TRANSPORT_CLOSE)
        self._session = None
        if self._reader is not None:
            self._reader.discard()
        self._parts.registry.sockets.discard(self)
        self._parts.registry.settle()

    def pause_writing(self) -> None:
        """The transport holds unwritten bytes: leave packets in the outbox, where they are bounded."""
        self._paused = True
        if self._session is not None:
            self._session.write = None

    def resume_writing(self) -> None:
        """The transport has written everything."""
        self._paused = False
        self._offer_write()
        if self._session is not None and self._session.outbox:
            self._parts.registry.wake(self._session)

    def shutdown(self) -> None:
        """Uvicorn is stopping."""
        if self._phase is Phase.OPEN and self._session is not None:
            self._session.close(closing.SERVER_SHUTDOWN)
        else:
            self.drop(closing.SERVER_SHUTDOWN)

    # What the session calls.

    @property
    def buffered(self) -> int:
        """Bytes that the transport could not write yet."""
        return self._transport.get_write_buffer_size()

    def flush(self) -> None:
        """Write the session's outbox, unless the transport has enough."""
        if self._session is not None and not self._paused:
            packets = self._session.take_all()
            if packets:
                self._transport.write(join_frames(packets))

    def push(self, frames: bytes) -> None:
        """Write what the socket did not take."""
        self._transport.write(frames)

    def release(self) -> None:
        """Nothing is held on a WebSocket."""

    def finish(self, reason: CloseReason) -> None:
        """Write all of the outbox, then close."""
        session = self._session
        if session is not None:
            self._paused = False
            self.flush()
            self.drop(reason)
            session.end()

    def drop(self, reason: CloseReason) -> None:
        """Close with the reason's code, unless that has happened; the client has a while to answer."""
        if self._phase in (Phase.CLOSING, Phase.CLOSED):
            return
        if self._phase is Phase.UPGRADING:
            self._session = None
        self._phase = Phase.CLOSING
        self._held = b""
        self._parts.timers.schedule(self, monotonic() + self._parts.config.close_timeout)
        if self._reader is None:
            self._transport.close()
            return
        self._reader.close(reason.code, reason.name)
        self._transport.resume_reading()
        self._write_answers(self._reader)

    def pause_reading(self) -> None:
        """Stop reading from the connection."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on with what was held back, then with the connection."""
        if self._phase is Phase.OPEN:
            asyncio.get_running_loop().call_soon(self._feed_held)

    # What the engine and its timers call.

    def abort(self) -> None:
        """Cut the connection off."""
        self._transport.abort()

    def expire(self, now: float) -> float | None:
        """An upgrade was not completed in time, or the client does not hang up."""
        if self._phase is Phase.UPGRADING and self._session is not None:
            self._session.abandon_upgrade()
            self.drop(closing.UPGRADE_FAILED)
        else:
            self.abort()
        return None

    def let_go(self) -> None:
        """The connection is passed on to another node."""
        self.connection_lost(None)

    # Handshake.

    def shake_hands(self, request: Request, head: Callable[[], bytes]) -> None:
        """Take the upgrade request; `head` makes its bytes, for another node."""
        outcome = self._parts.door.enter(request, self.name)
        if isinstance(outcome, Refusal):
            self.refuse(outcome)
            return
        if isinstance(outcome, Elsewhere):
            assert self._parts.relay is not None  # noqa: S101 - or the door knew of no other node
            self._parts.relay.join(outcome.node, head(), self._transport, self)
            return
        session = outcome.session
        self._reader = FrameReader(self._parts.config.max_payload)
        if session is None:
            self._open(request, outcome.address)
            return
        self._transport.write(accept_upgrade(request))
        if upgrade.offer(session, self):
            self._join(session)
        else:
            # "the server MUST close the WebSocket connection", spec section "WebSocket"; clients expect it to
            # open first.
            self.drop(closing.TRANSPORT_ERROR)

    def _open(self, request: Request, address: str) -> None:
        """A WebSocket-only session, spec section "Handshake"."""
        self._phase = Phase.OPEN
        session = self._parts.registry.open(request, address, self, monotonic())
        self._session = session
        self._find_socket()
        self._transport.write(accept_upgrade(request) + open_packet(session, self._parts.config).frame)
        self._offer_write()
        session.opened()

    def _find_socket(self) -> None:
        """Share the transport's socket, and have the transport tell of every byte that it holds."""
        found = self._transport.get_extra_info("socket")
        if found is not None and self._transport.get_extra_info("sslcontext") is None:
            self._socket = socket.socket(found.family, socket.SOCK_STREAM, 0, found.fileno())
            self._transport.set_write_buffer_limits(high=0)

    def _offer_write(self) -> None:
        """Let the flusher write to the socket, as long as the transport has nothing to write before that."""
        session = self._session
        if self._socket is None or self._paused or session is None:
            return
        if session.wire is self and session.state is State.OPEN:
            session.write = self._socket.send

    def _join(self, session: Session) -> None:
        """The WebSocket of an upgrade, spec section "Upgrade"."""
        self._phase = Phase.UPGRADING
        self._session = session
        self._find_socket()
        self._parts.timers.schedule(self, monotonic() + self._parts.config.upgrade_timeout)

    def refuse(self, refusal: Refusal) -> None:
        """Answer the upgrade request with no."""
        body = refusal.body
        head = [
            f"HTTP/1.1 {refusal.status.value} {refusal.status.phrase}".encode(),
            b"content-type: application/json",
            b"cache-control: no-store",
            b"connection: close",
            b"content-length: %d" % len(body),
            *(b": ".join(header) for header in refusal.headers),
        ]
        self._transport.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
        self._phase = Phase.CLOSING
        self._parts.timers.schedule(self, monotonic() + self._parts.config.close_timeout)
        self._transport.close()

    # Frames.

    def _feed_held(self) -> None:
        """Parse what was held back, as far as the session takes it."""
        while self._held and self._session is not None and self._session.reading:
            data, self._held = self._held[:_SLICE], self._held[_SLICE:]
            self._feed(data)
        if self._session is not None and self._session.reading:
            self._transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            return
        for kind, payload in reader.read(data):
            if kind is Incoming.TEXT:
                self._take_text(payload)
            elif kind is Incoming.BINARY:
                self._take_binary(payload)
            else:
                self._take_control(kind, reader)

    def _take_control(self, kind: Incoming, reader: FrameReader) -> None:
        """Act on what is no message, and answer it."""
        if kind is not Incoming.IDLE:
            self._end(_ENDS[kind])
        elif self._session is not None:
            self._session.count_idle_frame()
        self._write_answers(reader)

    def _take_text(self, data: bytes) -> None:
        session = self._session
        if session is None or self._phase is Phase.CLOSING:
            return
        try:
            text = str(data, "utf-8")
            if self._phase is Phase.OPEN:
                session.receive(text)
            else:
                self._take_probe(session, text)
        except UnicodeDecodeError:
            self._end(closing.INVALID_TEXT)
        except PacketError:
            self._end(closing.PARSE_ERROR)

    def _take_binary(self, data: bytes) -> None:
        if self._phase is Phase.OPEN and self._session is not None:
            self._session.deliver(data)
        elif self._phase is Phase.UPGRADING:
            self._end(closing.PARSE_ERROR)

    def _take_probe(self, session: Session, text: str) -> None:
        answer = upgrade.probe(session, text)
        if answer is not None:
            self._transport.write(answer.frame)
        else:
            self._phase = Phase.OPEN
            self._offer_write()
            self._parts.timers.cancel(self)
            session.moved()

    def _end(self, reason: CloseReason) -> None:
        """End the session, or only the upgrade when this connection is not the session's yet."""
        session = self._session
        if self._phase is Phase.OPEN and session is not None:
            session.fail(reason)
        elif self._phase is Phase.UPGRADING and session is not None:
            session.abandon_upgrade()
            self.drop(reason)

    def _write_answers(self, reader: FrameReader) -> None:
        """Write pongs, which are left out while the client does not read, and closes."""
        answers = reader.answers()
        if answers and (not self._paused or self._phase is Phase.CLOSING):
            self._transport.write(b"".join(answers))
        if SEND_EOF in answers:
            self._transport.close()
