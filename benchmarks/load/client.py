"""One Socket.IO client on a WebSocket, read when somebody says that there is something to read."""

import json
import socket
from collections.abc import Mapping

from benchmarks.load.plan import Endpoint
from benchmarks.load.wire import masked, span, upgrade_request

CONNECT = b"40/chat,"
_RECEIVED_AT_ONCE = 1 << 18
_NARROW_SEGMENT = 1400
_NARROW_BUFFER = 16_384


class LoadError(Exception):
    """The clients could not do what the plan says; the text says which and why."""


def connect_packet(auth: Mapping[str, object]) -> bytes:
    """Socket.IO's CONNECT to the chat."""
    return CONNECT + json.dumps(auth, separators=(",", ":")).encode()


def event(name: str, body: Mapping[str, object]) -> bytes:
    """The arguments of an event, as they follow its ack id."""
    return json.dumps([name, body], separators=(",", ":")).encode()


def _dial(host: str, port: int, *, narrow: bool) -> socket.socket:
    sock = socket.socket()
    sock.settimeout(10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if narrow:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _NARROW_SEGMENT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW_BUFFER)
    sock.connect((host, port))
    return sock


class Client:
    """A connection that says CONNECT when the server's OPEN comes, and answers heartbeats.

    `number` identifies it in complaints. `tail` is the beginning of a frame that has not ended yet.
    Subclasses see every other packet in `packet`.
    """

    __slots__ = ("auth", "number", "sock", "tail", "upgraded")
    narrow = False
    """Whether little fits into its way: small segments and a small buffer, as over a bad network."""

    def __init__(self, number: int, endpoint: Endpoint, auth: Mapping[str, object], sid: str = "") -> None:
        self.number = number
        self.auth = auth
        self.connect(endpoint, sid)

    def connect(self, endpoint: Endpoint, sid: str = "") -> None:
        """Open the connection, or another one when the one before is closed."""
        self.tail = b""
        self.upgraded = False
        port = endpoint.port_of(self.number)
        try:
            self.sock = _dial(endpoint.host, port, narrow=self.narrow)
        except OSError as error:
            raise LoadError(f"client {self.number} could not connect: {error}") from error
        self.sock.sendall(upgrade_request(endpoint.host, port, sid))
        self.sock.setblocking(False)

    def upgrade(self, data: bytes) -> bytes:
        """Take the HTTP answer off the front of `data`; what is not whole yet stays in `tail`."""
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self.tail = data
            return b""
        if not head.startswith(b"HTTP/1.1 101 "):
            raise LoadError(f"client {self.number}: the server refused the WebSocket: {data[:300]!r}")
        self.upgraded = True
        return rest

    def receive(self) -> None:
        """Read once, and act on the packets that are whole."""
        self.process(self.read())

    def process(self, received: bytes) -> None:
        """Act on the packets that are whole."""
        data = self.tail + received
        if not self.upgraded:
            data = self.upgrade(data)
            if not self.upgraded:
                return
        at = 0
        while (found := span(data, at)) is not None:
            start, end = found
            self.take(data[at], data[start:end])
            at = end
        self.tail = data[at:]

    def read(self) -> bytes:
        """What has come. Raises LoadError when nothing will come any more."""
        try:
            data = self.sock.recv(_RECEIVED_AT_ONCE)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LoadError(f"the connection of client {self.number} ended: {error}") from error
        if not data:
            raise LoadError(f"the connection of client {self.number} ended: closed by the server")
        return data

    def take(self, opcode: int, payload: bytes) -> None:
        """Act on one frame."""
        if opcode != 0x81:
            raise LoadError(f"client {self.number}: WebSocket frame {opcode:#x}: {payload[:200]!r}")
        if payload == b"2":
            self.send(b"3")
        elif payload.startswith(b"0{"):
            self.send(connect_packet(self.auth))
        else:
            self.packet(payload)

    def packet(self, payload: bytes) -> None:
        """Act on anything but OPEN and PING."""
        raise self.unexpected(payload)

    def unexpected(self, payload: bytes) -> LoadError:
        """What to raise for a packet that has no place here."""
        return LoadError(f"client {self.number}: unexpected packet {payload[:300]!r}")

    def send(self, payload: bytes) -> None:
        """Send one packet. Raises LoadError when the server leaves it lying."""
        data = masked(payload)
        try:
            done = self.sock.send(data)
        except BlockingIOError:
            done = 0
        except OSError as error:
            raise LoadError(f"the connection of client {self.number} ended: {error}") from error
        if done != len(data):
            raise LoadError(f"client {self.number}: the server does not read what it is sent")
