"""One HTTP request, passed on over a connection to another node, and its answer."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import cast

import httptools

Scope = MutableMapping[str, object]
Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Headers = list[tuple[bytes, bytes]]

_CHUNK = 65_536
# What is between two connections and not between client and session (RFC 9110, 7.6.1); and what each side's
# server adds by itself.
_OF_THE_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
_NOT_UP = _OF_THE_HOP | {b"expect"}
_NOT_DOWN = _OF_THE_HOP | {b"date", b"server"}


class Answer:
    """The node's answer; httptools tells it of the parts."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.body = b""
        self.complete = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field."""
        if name.lower() not in _NOT_DOWN:
            self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """All of it."""
        self.status = self.parser.get_status_code()
        self.complete = self.status >= HTTPStatus.OK
        if self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # The rest of the body is not read, so the connection cannot go on.
            self.headers.append((b"connection", b"close"))


async def exchange(there: asyncio.Transport, scope: Scope, receive: Receive) -> Answer:
    """Send a request and read its answer; the connection is closed then.

    Raises `OSError` when no answer came; also when the client went away, which the node learns from that.
    """
    if there.is_closing():
        raise ConnectionResetError("the node hung up")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_CHUNK)
    protocol = asyncio.StreamReaderProtocol(reader)
    there.set_protocol(protocol)
    protocol.connection_made(there)
    writer = asyncio.StreamWriter(there, protocol, reader, loop)
    uploading = asyncio.create_task(_upload(writer, scope, receive))
    try:
        return await _read_answer(reader)
    finally:
        uploading.cancel()
        there.abort()
        await asyncio.wait((uploading,))


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    answer = Answer()
    while not answer.complete:
        data = await reader.read(_CHUNK)
        if not data:
            raise ConnectionResetError("the node hung up")
        try:
            answer.parser.feed_data(data)
        except httptools.HttpParserError:
            raise ConnectionAbortedError("what the node says is not HTTP") from None
    return answer


async def _upload(writer: asyncio.StreamWriter, scope: Scope, receive: Receive) -> None:
    """Send the request, then wait for the client to go away, which ends the connection."""
    chunked = _write_head(writer, scope)
    try:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                writer.transport.abort()
                return
            body = cast("bytes", message.get("body", b""))
            if body:
                writer.write(b"%x\r\n%b\r\n" % (len(body), body) if chunked else body)
                await writer.drain()
            more = bool(message.get("more_body"))
        if chunked:
            writer.write(b"0\r\n\r\n")
        while (await receive())["type"] != "http.disconnect":
            """Nothing more is expected."""
        writer.transport.abort()
    except OSError:
        """Whoever reads the answer is told, too."""


def _write_head(writer: asyncio.StreamWriter, scope: Scope) -> bool:
    """Write the request's head; returns whether the body goes in chunks."""
    headers = cast("Headers", scope["headers"])
    names = {name.lower() for name, _ in headers}
    chunked = b"transfer-encoding" in names
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in _NOT_UP and not (chunked and name.lower() == b"content-length")
    ]
    kept.append((b"connection", b"close"))
    if chunked:
        kept.append((b"transfer-encoding", b"chunked"))
    method = cast("str", scope["method"]).encode("latin-1")
    target = b"%b?%b" % (cast("bytes", scope["raw_path"]), cast("bytes", scope["query_string"]))
    lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % field for field in kept)]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
    return chunked
