# A stretch of the way in docs/life-of-a-message.md.
"""The HTTP long-polling driver: GET (receive) and POST (send), spec section "HTTP long-polling".

A GET with nothing to answer is held by its session's wire, and is answered when the session has something.
No task waits anywhere: the HTTP protocol hands each request in, and the wire calls back.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from time import monotonic

from hubbub.engineio import closing, refusals
from hubbub.engineio.closing import CloseReason
from hubbub.engineio.door import Admission
from hubbub.engineio.exchange import Exchange
from hubbub.engineio.handshake import open_packet
from hubbub.engineio.origins import cors_headers, preflight_headers
from hubbub.engineio.packets import (
    CLOSE_PACKET,
    NOOP_PACKET,
    PacketError,
    Prepared,
    encode_payload,
    split_payload,
)
from hubbub.engineio.parts import Parts
from hubbub.engineio.refusals import Refusal
from hubbub.engineio.session import Session
from hubbub.engineio.states import State, Upgrading

# Stock Python clients refuse a payload of more packets than this.
_MAX_PACKETS = 16

# Packets of one POST handed on before others get their turn.
_BATCH = 256

# Why a session ends when its POST's body is refused, where that is not simply an error.
_BODY_REASONS = {
    refusals.BODY_TOO_BIG: closing.TOO_BIG,
    refusals.BODY_CUT_OFF: closing.TRANSPORT_CLOSE,
}

# What stands in the query of a GET that no other GET repeats, unless it is the same one.
_TIMESTAMP = "&t="

_OK = b"ok"
_TEXT = (b"content-type", b"text/plain; charset=UTF-8")
_JSON = (b"content-type", b"application/json")


class PollingWire:
    """The polling side of one session: at most one GET and one POST at a time."""

    __slots__ = ("_answered", "_farewell", "_held", "_max_bytes", "_resume", "paused", "polling", "session")

    name = "polling"
    buffered = 0

    def __init__(self, max_bytes: int) -> None:
        self.session: Session
        self.polling = False
        self.paused = False
        self._max_bytes = max_bytes
        # What goes on with the held GET, and with a POST held by backpressure, while there is one; the packet
        # that ends the polling.
        self._held: Callable[[], None] | None = None
        self._resume: Callable[[], None] | None = None
        self._farewell: Prepared | None = None
        # The latest GET that can be told from others, and its answer.
        self._answered: tuple[str, bytes] | None = None

    def flush(self) -> None:
        """Let the held GET take the outbox."""
        self._wake()

    def push(self, frames: bytes) -> None:
        """Not called: sessions that poll have no `write`."""

    def release(self) -> None:
        """Let the held GET end, with a NOOP if there is nothing else."""
        self._wake()

    def finish(self, reason: CloseReason) -> None:
        """Let polls fetch what is queued, and after that a CLOSE packet."""
        self._farewell = CLOSE_PACKET
        self.resume_reading()
        self._wake()

    def drop(self, reason: CloseReason) -> None:
        """Answer the held GET for the last time."""
        # A client that closes the session itself is let go with a NOOP, as the reference server does.
        self._farewell = NOOP_PACKET if reason is closing.TRANSPORT_CLOSE else CLOSE_PACKET
        self.resume_reading()
        self._wake()

    def pause_reading(self) -> None:
        """Hold the answer to the current POST, and with it the client's next one."""
        self.paused = True

    def resume_reading(self) -> None:
        """Go on with the held POST."""
        self.paused = False
        resume, self._resume = self._resume, None
        if resume is not None:
            resume()

    def when_readable(self, resume: Callable[[], None]) -> None:
        """Have something called, once, when the application takes more."""
        self._resume = resume

    def payload(self) -> bytes | None:
        """What a GET is answered now; None: nothing yet."""
        session = self.session
        packets = () if session.wire is not self else session.take(_MAX_PACKETS, self._max_bytes)
        if self._farewell is not None and not packets:
            # In an answer of its own: clients act on it before they hand on what came with it.
            packets = (self._farewell,)
            session.end()
        elif not packets and (session.wire is not self or session.upgrading is Upgrading.PROBED):
            packets = (NOOP_PACKET,)
        return encode_payload(packets) if packets else None

    def remember(self, query: str, payload: bytes) -> None:
        """Keep the answer to a GET until the next one, if its query is unlike any other's."""
        self._answered = (query, payload) if _TIMESTAMP in query else None

    def repeated(self, query: str) -> bytes | None:
        """The answer of before for a GET that is the same to the letter.

        Clients give each GET a timestamp of its own (`t`). HTTP libraries send a GET once more, behind the
        client's back, when the connection broke before its answer had come.
        """
        answered, self._answered = self._answered, None
        return answered[1] if answered is not None and answered[0] == query else None

    def hold(self, wake: Callable[[], None]) -> None:
        """Keep a GET until there is something to answer, and have `wake` called then, once."""
        self._held = wake

    def _wake(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held()


class Polling:
    """What answers the requests of polling clients."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, exchange: Exchange, outcome: Admission | Refusal) -> None:
        """Answer one request, about which the door has said `outcome`: now, or when there is something."""
        if exchange.request.method == "OPTIONS":
            self._answer_preflight(exchange)
        elif isinstance(outcome, Refusal):
            self._answer(exchange, outcome)
        elif outcome.session is None:
            self._open(exchange, outcome.address)
        else:
            self._serve(exchange, outcome.session)

    def _open(self, exchange: Exchange, address: str) -> None:
        # Asked once more: the request may have waited for others on its connection.
        refusal = self._parts.registry.check_room(address)
        if refusal is not None:
            self._answer(exchange, refusal)
            return
        wire = PollingWire(self._parts.config.max_payload)
        wire.session = self._parts.registry.open(exchange.request, address, wire, monotonic())
        self._answer(exchange, open_packet(wire.session, self._parts.config).packet)
        wire.session.opened()

    def _serve(self, exchange: Exchange, session: Session) -> None:
        now = monotonic()
        if session.state is State.OPEN and not self._parts.timers.stalled(now):
            # The timers are coarse: judge by the exact time before serving a session that is over.
            session.heartbeat(now)
        wire, method = session.wire, exchange.request.method
        if session.state is State.CLOSED:
            self._answer(exchange, refusals.UNKNOWN_SESSION)
        elif not isinstance(wire, PollingWire):
            self._answer(exchange, refusals.UPGRADED)
        elif method == "GET":
            self._poll(exchange, wire)
        elif method == "POST":
            self._take(exchange, wire)
        else:
            self._answer(exchange, refusals.BAD_METHOD)

    # GET.

    def _poll(self, exchange: Exchange, wire: PollingWire) -> None:
        if wire.polling:
            wire.session.fail(closing.TRANSPORT_ERROR)
            self._answer(exchange, refusals.OVERLAP)
            return
        payload = wire.repeated(exchange.request.raw_query)
        if payload is not None:
            self._answer(exchange, payload)
            return
        wire.polling = True
        self._fetch(exchange, wire)

    def _fetch(self, exchange: Exchange, wire: PollingWire) -> None:
        """Answer a GET, or hold it."""
        if exchange.disconnected:
            return
        payload = wire.payload()
        if payload is None:
            exchange.changed = partial(_check_client, exchange, wire)
            # Later in this turn: whoever has something to say may not be done with the session.
            wire.hold(partial(exchange.soon, partial(self._fetch, exchange, wire)))
            return
        wire.remember(exchange.request.raw_query, payload)
        wire.polling = False
        self._answer(exchange, payload)

    # POST.

    def _take(self, exchange: Exchange, wire: PollingWire) -> None:
        if wire.session.posting:
            wire.session.fail(closing.TRANSPORT_ERROR)
            self._answer(exchange, refusals.OVERLAP)
            return
        wire.session.posting = True
        refusal = _check_body(exchange.request.headers, self._parts.config.max_payload)
        if refusal is not None:
            self._refuse_body(exchange, wire, refusal)
            return
        exchange.changed = partial(self._read_body, exchange, wire)
        exchange.read()
        self._read_body(exchange, wire)

    def _read_body(self, exchange: Exchange, wire: PollingWire) -> None:
        """Look at what there is of the body, never more than `max_payload` of it."""
        if len(exchange.body) > self._parts.config.max_payload:
            self._refuse_body(exchange, wire, refusals.BODY_TOO_BIG)
        elif not exchange.more_body:
            exchange.changed = None
            try:
                packets = split_payload(bytes(exchange.body))
            except PacketError:
                self._refuse_body(exchange, wire, refusals.BAD_PAYLOAD)
                return
            exchange.body.clear()
            self._deliver(exchange, wire, iter(packets))
        elif exchange.disconnected:
            self._refuse_body(exchange, wire, refusals.BODY_CUT_OFF)
        else:
            exchange.read()

    def _refuse_body(self, exchange: Exchange, wire: PollingWire, refusal: Refusal) -> None:
        wire.session.fail(_BODY_REASONS.get(refusal, closing.TRANSPORT_ERROR))
        wire.session.posting = False
        self._answer(exchange, refusal)

    def _deliver(self, exchange: Exchange, wire: PollingWire, packets: Iterator[str]) -> None:
        """Hand the packets on; the answer waits while the application takes no more."""
        session = wire.session
        go_on = partial(exchange.soon, partial(self._deliver, exchange, wire, packets))
        try:
            for count, text in enumerate(packets, start=1):
                session.receive(text)
                if wire.paused:
                    wire.when_readable(go_on)
                    return
                if count == _BATCH:
                    go_on()
                    return
        except PacketError:
            self._refuse_body(exchange, wire, refusals.BAD_PAYLOAD)
            return
        session.posting = False
        self._answer(exchange, _OK)

    # Answers.

    def _answer(self, exchange: Exchange, outcome: bytes | Refusal) -> None:
        headers = cors_headers(exchange.request, self._parts.config)
        if isinstance(outcome, Refusal):
            exchange.answer(outcome.status, [_JSON, *headers, *outcome.headers], outcome.body)
        else:
            exchange.answer(HTTPStatus.OK, [_TEXT, *headers], outcome)

    def _answer_preflight(self, exchange: Exchange) -> None:
        refusal = self._parts.door.check_origin(exchange.request)
        if refusal is not None:
            self._answer(exchange, refusal)
        else:
            headers = preflight_headers(exchange.request, self._parts.config)
            exchange.answer(HTTPStatus.NO_CONTENT, headers, b"")


def _check_client(exchange: Exchange, wire: PollingWire) -> None:
    """End the session of a held GET whose client has gone."""
    if exchange.disconnected:
        wire.polling = False
        wire.session.fail(closing.TRANSPORT_CLOSE)


def _check_body(headers: Mapping[str, str], limit: int) -> Refusal | None:
    """Refuse a body by its headers. Binary packets come as base64 text, so nothing else is of use."""
    if headers.get("content-encoding", "identity") != "identity":
        return refusals.BODY_ENCODED
    if headers.get("content-type", "").startswith("application/octet-stream"):
        return refusals.BAD_PAYLOAD
    length = headers.get("content-length", "")
    return refusals.BODY_TOO_BIG if length.isdecimal() and int(length) > limit else None
