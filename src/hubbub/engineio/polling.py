# A stretch of the way in docs/life-of-a-message.md.
"""The HTTP long-polling driver: an ASGI application for GET (receive) and POST (send), spec section "HTTP
long-polling".

A GET with nothing to answer waits in `receive()`, so that it notices a client that goes away, and is woken
when the session has something: one task a poll, uvicorn's own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from time import monotonic
from typing import cast

from hubbub.engineio import closing, refusals
from hubbub.engineio.closing import CloseReason
from hubbub.engineio.handshake import open_packet
from hubbub.engineio.nodes import Elsewhere
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
from hubbub.engineio.requests import Request, fold_headers
from hubbub.engineio.session import Session
from hubbub.engineio.states import State, Upgrading

Scope = MutableMapping[str, object]
Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

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
_TEXT = b"text/plain; charset=UTF-8"
_JSON = b"application/json"


class PollingWire:
    """The polling side of one session: at most one GET and one POST at a time."""

    __slots__ = ("_answered", "_farewell", "_max_bytes", "_resumed", "_waiting", "polling", "session")

    name = "polling"
    buffered = 0

    def __init__(self, max_bytes: int) -> None:
        self.session: Session
        self.polling = False
        self._max_bytes = max_bytes
        # The held GET, while there is one; the packet that ends the polling; a POST held by backpressure.
        self._waiting: asyncio.Timeout | None = None
        self._farewell: Prepared | None = None
        self._resumed: asyncio.Event | None = None
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
        if self._resumed is None:
            self._resumed = asyncio.Event()

    def resume_reading(self) -> None:
        """Answer the held POST."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    async def wait_readable(self) -> None:
        """Wait until the application takes more."""
        if self._resumed is not None:
            await self._resumed.wait()

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

    async def wait(self, receive: Receive) -> bool:
        """Hold the GET until there is something to answer; False: the client went away."""
        try:
            async with asyncio.timeout(None) as self._waiting:
                while (await receive())["type"] == "http.request":
                    """The body of a GET means nothing."""
                return False
        except TimeoutError:
            return True
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None:
            # Ends the wait at once: cheaper than a second task beside the one that waits for the client.
            self._waiting.reschedule(0)
            self._waiting = None


class Polling:
    """The ASGI side of an engine."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            raise ValueError(f"an ASGI scope of type {scope['type']!r} is none of Engine.IO's")
        request = read_scope(scope)
        if request.method == "OPTIONS":
            await self._answer_preflight(request, send)
            return
        outcome = self._parts.door.enter(request, PollingWire.name)
        if isinstance(outcome, Refusal):
            await self._answer(request, send, outcome)
        elif isinstance(outcome, Elsewhere):
            await self._pass_on(request, outcome, scope, receive, send)
        elif outcome.session is None:
            await self._open(request, outcome.address, send)
        else:
            await self._answer(request, send, await self._exchange(request, outcome.session, receive))

    async def _pass_on(
        self, request: Request, elsewhere: Elsewhere, scope: Scope, receive: Receive, send: Send
    ) -> None:
        relay = self._parts.relay
        assert relay is not None  # noqa: S101 - or the door knew of no other node
        answer = await relay.exchange(elsewhere.node, scope, receive, request.peer)
        if isinstance(answer, Refusal):
            await self._answer(request, send, answer)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _open(self, request: Request, address: str, send: Send) -> None:
        wire = PollingWire(self._parts.config.max_payload)
        wire.session = self._parts.registry.open(request, address, wire, monotonic())
        await self._answer(request, send, open_packet(wire.session, self._parts.config).packet)
        wire.session.opened()

    async def _exchange(self, request: Request, session: Session, receive: Receive) -> bytes | Refusal:
        now = monotonic()
        if session.state is State.OPEN and not self._parts.timers.stalled(now):
            # The timers are coarse: judge by the exact time before serving a session that is over.
            session.heartbeat(now)
        wire = session.wire
        if session.state is State.CLOSED:
            return refusals.UNKNOWN_SESSION
        if not isinstance(wire, PollingWire):
            return refusals.UPGRADED
        if request.method == "GET":
            return await self._poll(session, wire, request.raw_query, receive)
        if request.method == "POST":
            return await self._take(request, session, wire, receive)
        return refusals.BAD_METHOD

    async def _poll(
        self, session: Session, wire: PollingWire, query: str, receive: Receive
    ) -> bytes | Refusal:
        if wire.polling:
            session.fail(closing.TRANSPORT_ERROR)
            return refusals.OVERLAP
        wire.polling = True
        try:
            payload = wire.repeated(query)
            if payload is not None:
                return payload
            payload = wire.payload()
            while payload is None:
                if not await wire.wait(receive):
                    session.fail(closing.TRANSPORT_CLOSE)
                    return refusals.BAD_REQUEST
                payload = wire.payload()
            wire.remember(query, payload)
            return payload
        finally:
            wire.polling = False

    async def _take(
        self, request: Request, session: Session, wire: PollingWire, receive: Receive
    ) -> bytes | Refusal:
        if session.posting:
            session.fail(closing.TRANSPORT_ERROR)
            return refusals.OVERLAP
        session.posting = True
        try:
            body = await self._read_body(request, receive)
            if isinstance(body, Refusal):
                session.fail(_BODY_REASONS.get(body, closing.TRANSPORT_ERROR))
                return body
            await self._deliver(session, wire, body)
        except PacketError:
            session.fail(closing.PARSE_ERROR)
            return refusals.BAD_PAYLOAD
        finally:
            session.posting = False
        return _OK

    async def _deliver(self, session: Session, wire: PollingWire, body: bytes) -> None:
        """Hand the packets on; the answer waits while the application takes no more."""
        for count, text in enumerate(split_payload(body), start=1):
            session.receive(text)
            if not session.reading:
                await wire.wait_readable()
            elif count % _BATCH == 0:
                await asyncio.sleep(0)

    async def _read_body(self, request: Request, receive: Receive) -> bytes | Refusal:
        """The body of a POST, never more than `max_payload` of it."""
        limit = self._parts.config.max_payload
        refusal = _check_body(request.headers, limit)
        if refusal is not None:
            return refusal
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return refusals.BODY_CUT_OFF
            chunk = cast("bytes", message.get("body", b""))
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                return refusals.BODY_TOO_BIG
            more = bool(message.get("more_body"))
        return b"".join(chunks)

    async def _answer(self, request: Request, send: Send, outcome: bytes | Refusal) -> None:
        headers = cors_headers(request, self._parts.config)
        if isinstance(outcome, Refusal):
            headers += [(b"content-type", _JSON), *outcome.headers]
            await _send(send, outcome.status, outcome.body, headers)
        else:
            await _send(send, HTTPStatus.OK, outcome, [(b"content-type", _TEXT), *headers])

    async def _answer_preflight(self, request: Request, send: Send) -> None:
        refusal = self._parts.door.check_origin(request)
        if refusal is not None:
            await self._answer(request, send, refusal)
        else:
            await _send(send, HTTPStatus.NO_CONTENT, b"", preflight_headers(request, self._parts.config))


def read_scope(scope: Scope) -> Request:
    """The request's head. The raw path counts: `%2e` and the like are not resolved."""
    client = cast("tuple[str, int] | None", scope.get("client"))
    return Request(
        method=cast("str", scope["method"]),
        path=cast("bytes", scope["raw_path"]).decode("latin-1"),
        raw_query=cast("bytes", scope["query_string"]).decode("latin-1"),
        headers=fold_headers(cast("list[tuple[bytes, bytes]]", scope["headers"])),
        peer=client[0] if client else "",
        secure=scope.get("scheme") == "https",
        relayed="relayed" in cast("dict[str, object]", scope.get("state") or {}),
    )


def _check_body(headers: Mapping[str, str], limit: int) -> Refusal | None:
    """Refuse a body by its headers. Binary packets come as base64 text, so nothing else is of use."""
    if headers.get("content-encoding", "identity") != "identity":
        return refusals.BODY_ENCODED
    if headers.get("content-type", "").startswith("application/octet-stream"):
        return refusals.BAD_PAYLOAD
    length = headers.get("content-length", "")
    return refusals.BODY_TOO_BIG if length.isdecimal() and int(length) > limit else None


async def _send(send: Send, status: HTTPStatus, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    fixed = [(b"cache-control", b"no-store"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status.value, "headers": [*headers, *fixed]})
    await send({"type": "http.response.body", "body": body})
