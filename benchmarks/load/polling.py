"""A client that begins on long-polling and upgrades, step by step as the stock JavaScript client does.

    GET -> OPEN -> POST CONNECT, GET (waits for what comes), and beside them a WebSocket: PING probe -> PONG
    probe -> no further GET, and when the last GET and the POST are answered: UPGRADE

The GETs have one connection, the POST another. The client is in when CONNECT is answered and UPGRADE is sent.
"""

import json
import socket
from collections.abc import Callable, Mapping

from benchmarks.load.arrivals import NOOP, Newcomer
from benchmarks.load.client import Client, LoadError, connect_packet
from benchmarks.load.plan import Endpoint
from benchmarks.load.switchboard import Switchboard

_SEPARATOR = b"\x1e"


class Http:
    """One kept-alive connection; `answered` is called with the body of each answer."""

    def __init__(self, endpoint: Endpoint, answered: Callable[[bytes], None]) -> None:
        self._endpoint = endpoint
        self._answered = answered
        self._pending = b""
        self.waiting = False
        self.sock = socket.create_connection((endpoint.host, endpoint.port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, sid: str, body: bytes | None = None) -> None:
        """GET, or POST `body`; one at a time."""
        session = f"&sid={sid}" if sid else ""
        head = (
            f"{'GET' if body is None else 'POST'} /socket.io/?EIO=4&transport=polling{session} HTTP/1.1\r\n"
            f"Host: {self._endpoint.host}:{self._endpoint.port}\r\nAccept: */*\r\n"
            "User-Agent: hubbub-benchmarks\r\n"
        )
        if body is not None:
            head += f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(body)}\r\n"
        self.waiting = True
        self.sock.sendall(head.encode() + b"\r\n" + (body or b""))

    def receive(self) -> None:
        """Read once; hand over an answer that is whole."""
        data = self.sock.recv(1 << 16)
        if not data:
            raise LoadError("the server closed a polling connection")
        self._pending += data
        head, end, rest = self._pending.partition(b"\r\n\r\n")
        if not end:
            return
        body = _body(head.lower(), rest)
        if body is None:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            raise LoadError(f"a polling request was refused: {self._pending[:300]!r}")
        self._pending = b""
        self.waiting = False
        self._answered(body)


def _body(head: bytes, rest: bytes) -> bytes | None:
    """The body that follows `head` (in lower case), None when it is not all there yet."""
    if b"transfer-encoding: chunked" in head:
        if not rest.endswith(b"0\r\n\r\n"):
            return None
        body = b""
        while (size := int(rest.partition(b"\r\n")[0], 16)) > 0:
            start = rest.index(b"\r\n") + 2
            body, rest = body + rest[start : start + size], rest[start + size + 2 :]
        return body
    _, found, after = head.partition(b"content-length:")
    if not found:
        raise LoadError(f"an answer without a length: {head[:300]!r}")
    return rest if len(rest) >= int(after.split(b"\r\n")[0]) else None


class Upgrader(Newcomer):
    """The WebSocket of a client whose session began on polling: probes, then carries everything."""

    __slots__ = ("probed",)

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        sid: str,
        welcome: Callable[[], None],
        probed: Callable[[], None],
    ) -> None:
        super().__init__(number, endpoint, {}, welcome, sid)
        self.probed = probed

    def upgrade(self, data: bytes) -> bytes:
        """Probe as soon as the WebSocket is open."""
        rest = Client.upgrade(self, data)
        if self.upgraded:
            self.send(b"2probe")
        return rest

    def packet(self, payload: bytes) -> None:
        """Go on with the upgrade, or act as any client."""
        if payload == b"3probe":
            self.probed()
        else:
            Newcomer.packet(self, payload)


class PollingClient:
    """The three connections of one client, until one of them is left."""

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        auth: Mapping[str, object],
        switchboard: Switchboard,
        welcome: Callable[[], None],
    ) -> None:
        self.number = number
        self._endpoint = endpoint
        self._auth = auth
        self._switchboard = switchboard
        self._welcome = welcome
        self._sid = ""
        self._connected = False
        self._probed = False
        self._upgraded = False
        self._told = False
        self.websocket: Upgrader | None = None
        self._gets = self._http(self._polled)
        self._posts = self._http(lambda _: self._step())
        self._gets.request("")

    def _http(self, answered: Callable[[bytes], None]) -> Http:
        http = Http(self._endpoint, answered)
        self._switchboard.add(http)
        return http

    def _polled(self, body: bytes) -> None:
        for packet in body.split(_SEPARATOR):
            if packet.startswith(b"0{"):
                self._open(str(json.loads(packet[1:])["sid"]))
            elif packet.startswith(b"40/chat,"):
                self._welcomed()
            elif not packet.startswith((b"42/chat,", NOOP, b"2")):
                raise LoadError(f"client {self.number}: unexpected packet {packet[:300]!r}")
        if not self._probed:
            self._gets.request(self._sid)
        self._step()

    def _open(self, sid: str) -> None:
        self._sid = sid
        self._posts.request(sid, connect_packet(self._auth))
        self.websocket = Upgrader(self.number, self._endpoint, sid, self._welcomed, self._probe_answered)
        self._switchboard.add(self.websocket)

    def _welcomed(self) -> None:
        if self._connected:
            raise LoadError(f"client {self.number} was let in twice")
        self._connected = True
        self._step()

    def _probe_answered(self) -> None:
        self._probed = True
        self._step()

    def _step(self) -> None:
        """Upgrade when nothing is under way over HTTP; tell when that and the CONNECT are done."""
        if self._probed and not (self._upgraded or self._gets.waiting or self._posts.waiting):
            assert self.websocket is not None
            self.websocket.send(b"5")
            self._leave_polling()
            self._upgraded = True
        if self._upgraded and self._connected and not self._told:
            self._told = True
            self._welcome()

    def _leave_polling(self) -> None:
        for http in (self._gets, self._posts):
            self._switchboard.hang_up(http)
