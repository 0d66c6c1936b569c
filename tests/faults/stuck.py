"""Clients that take part in everything but reading: bare sockets, over WebSocket and over polling."""

import asyncio
import base64
import json
import os
import socket
import struct

import aiohttp

from tests.harness.clients import NAMESPACE, Json
from tests.harness.users import User

SMALL_BUFFER = 4096
"""Bytes that the client's side of the connection may hold, so that the server soon has to."""


def connected(port: int) -> socket.socket:
    """A TCP connection that holds little."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    plain.connect(("127.0.0.1", port))
    plain.setblocking(False)
    return plain


def pause(writer: asyncio.StreamWriter) -> None:
    """Read no more from a connection."""
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()


def masked(text: str) -> bytes:
    """A text frame of a client (RFC 6455, section 5.2); a mask of zeros changes nothing."""
    data = text.encode()
    assert len(data) < 65_536
    if len(data) < 126:
        head = struct.pack("!BB", 0x81, 0x80 | len(data))
    else:
        head = struct.pack("!BBH", 0x81, 0xFE, len(data))
    return head + bytes(4) + data


class StuckWebSocket:
    """Reads until it is in the room, and then no more. `token` is its recovery token."""

    def __init__(self, user: User, port: int) -> None:
        self.user = user
        self.token = ""
        self._port = port
        self._sent = 0

    async def get_stuck(self, chat_id: str) -> None:
        """Connect, join, ask for a token; from then on nothing is read."""
        self._reader, self._writer = await asyncio.open_connection(sock=connected(self._port), limit=2**16)
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        await self._reader.readuntil(b"\r\n\r\n")
        self._writer.write(masked(f"40{NAMESPACE},{json.dumps({'token': self.user.token()})}"))
        await self._wait(f"40{NAMESPACE},")
        await self._ask("join:chat", {"chatId": chat_id})
        self.token = (await self._ask("connection:create-session", {}))["recoveryToken"]
        pause(self._writer)

    async def _ask(self, event: str, payload: Json) -> Json:
        self._sent += 1
        self._writer.write(masked(f"42{NAMESPACE},{self._sent}{json.dumps([event, payload])}"))
        answer = await self._wait(f"43{NAMESPACE},{self._sent}[")
        found: Json = json.loads(answer[answer.index("[") :])[0]
        return found

    async def _wait(self, head: str) -> str:
        """The next packet that begins so."""
        while True:
            packet = await self._read_frame()
            if packet.startswith(head):
                return packet

    async def _read_frame(self) -> str:
        _, length = await self._reader.readexactly(2)
        if length == 126:
            (length,) = struct.unpack("!H", await self._reader.readexactly(2))
        return (await self._reader.readexactly(length)).decode()

    def ask_on(self, event: str, payload: Json, times: int) -> None:
        """Send requests, whose answers are not read either."""
        for _ in range(times):
            self._sent += 1
            self._writer.write(masked(f"42{NAMESPACE},{self._sent}{json.dumps([event, payload])}"))

    async def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()


class StuckPolling:
    """Polls until it is in the room, then no more; or (`asks`) once more, and does not read the answer."""

    def __init__(self, user: User, port: int, *, asks: bool) -> None:
        self.user = user
        self.token = ""
        self._asks = asks
        self._port = port
        self._url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
        self._http = aiohttp.ClientSession()
        self._writer: asyncio.StreamWriter | None = None

    async def get_stuck(self, chat_id: str) -> None:
        """Connect, join, ask for a token; from then on nothing is read."""
        async with self._http.get(self._url) as answer:
            self._url += f"&sid={json.loads((await answer.text())[1:])['sid']}"
        await self._post(f"40{NAMESPACE},{json.dumps({'token': self.user.token()})}")
        await self._wait(f"40{NAMESPACE},")
        await self._ask(1, "join:chat", {"chatId": chat_id})
        self.token = (await self._ask(2, "connection:create-session", {}))["recoveryToken"]
        if self._asks:
            _, self._writer = await asyncio.open_connection(sock=connected(self._port), limit=2**16)
            path = self._url.partition(str(self._port))[2]
            self._writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
            pause(self._writer)

    async def _ask(self, number: int, event: str, payload: Json) -> Json:
        await self._post(f"42{NAMESPACE},{number}{json.dumps([event, payload])}")
        answer = await self._wait(f"43{NAMESPACE},{number}[")
        found: Json = json.loads(answer[answer.index("[") :])[0]
        return found

    async def _post(self, body: str) -> None:
        async with self._http.post(self._url, data=body) as answer:
            assert answer.status == 200

    async def _wait(self, head: str) -> str:
        while True:
            async with self._http.get(self._url) as answer:
                for packet in (await answer.text()).split("\x1e"):
                    if packet.startswith(head):
                        return packet

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.transport.abort()
        await self._http.close()
