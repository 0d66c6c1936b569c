# A stretch of the way in docs/life-of-a-message.md.
"""One request of a polling client and its answer, on a connection of uvicorn's HTTP protocol.

For uvicorn this is a `RequestResponseCycle` (decision 18): it fills `body`, sets `more_body` and
`disconnected` and calls `message_event.set()`. Nothing is awaited, and an answer is one `write`.
"""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hubbub.engineio.requests import Request

log = logging.getLogger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_CLOSING = (b"connection", b"close")


class Exchange:
    """A request, from its head to the end of its answer.

    `changed` is called when more of the body has come or the client has gone, until there is an answer.
    """

    __slots__ = (
        "_expects",
        "_http",
        "_respond",
        "answered",
        "body",
        "changed",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "request",
        "response_complete",
    )

    def __init__(
        self,
        request: Request,
        respond: "Callable[[Exchange], None]",
        http: HttpToolsProtocol,
        *,
        keep_alive: bool,
        expects: bool,
    ) -> None:
        """`respond` is called when it is this request's turn; the client `expects` a word before its body."""
        self.request = request
        self.changed: Callable[[], None] | None = None
        self.answered = False
        self._respond: Callable[[Exchange], None] | None = respond
        self._http = http
        self._expects = expects

        # What uvicorn reads and sets.
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.keep_alive = keep_alive
        self.message_event = self

    def start(self) -> None:
        """Respond, for the answers to the requests before this one have been written."""
        respond, self._respond = self._respond, None
        if respond is not None:
            self._run(lambda: respond(self))

    def set(self) -> None:
        """Something has changed: what uvicorn calls an event's `set`."""
        if self.changed is not None:
            self._run(self.changed)

    def soon(self, step: Callable[[], None]) -> None:
        """Go on with a step later in this turn of the event loop, unless there is an answer by then."""
        self._http.loop.call_soon(self._run, step)

    def read(self) -> None:
        """Have the client send its body, or more of it."""
        if self._expects and not self._http.transport.is_closing():
            self._http.transport.write(_CONTINUE)
        self._expects = False
        self._http.flow.resume_reading()

    def answer(self, status: HTTPStatus, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer, once. A client that has gone does not get it."""
        self.answered = True
        self.changed = None
        transport = self._http.transport
        if not self.disconnected and not transport.is_closing():
            transport.write(self._head(status, headers, body) + (b"" if self._is_head else body))
        if not self._http.flow.write_paused:
            self.end()

    def end(self) -> None:
        """The answer has been written, and the next request may begin."""
        self.response_complete = True
        if not self.keep_alive:
            self._http.transport.close()
        self._http.on_response_complete()

    @property
    def _is_head(self) -> bool:
        return self.request.method == "HEAD"

    def _head(self, status: HTTPStatus, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
        fields = [*self._http.server_state.default_headers, *headers]
        if _CLOSING in fields:
            self.keep_alive = False
        lines = b"".join([b"%b: %b\r\n" % field for field in fields if field != _CLOSING])
        return b"%b%bcache-control: no-store\r\ncontent-length: %d\r\n%b\r\n" % (
            STATUS_LINE[status],
            lines,
            len(body),
            b"" if self.keep_alive else _CLOSE,
        )

    def _run(self, step: Callable[[], None]) -> None:
        """Take a step; a fault of ours is not to look to uvicorn like one of the client's."""
        if self.answered:
            return
        try:
            step()
        except Exception:
            log.exception("a polling request failed")
            self.keep_alive = False
            if not self.answered:
                self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, (), b"")
