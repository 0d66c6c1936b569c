"""Engine.IO as a client, on each way to carry it: WebSocket, polling, and the upgrade from one to the other.

A link is good until something goes wrong, then it is lost for ever, like the connections of the stock client.
Packets are handed over one after the other, synchronously, so that what was recorded is in the order in which
it came.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final, Literal

import aiohttp

Transport = Literal["websocket", "polling", "upgrade"]
TRANSPORTS: Final[tuple[Transport, ...]] = ("websocket", "polling", "upgrade")

OPENING: Final = 3.0
"""Seconds for a handshake."""

_SEPARATOR: Final = "\x1e"
_PROBLEMS: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError)
_NO_CLOSING: Final = aiohttp.ClientWSTimeout(ws_close=0.2)


class LinkLost(Exception):
    """The connection is gone, or could not be made."""


class Link:
    """One Engine.IO session; `heard` gets each message, `beat` is called at each PING, before its PONG."""

    def __init__(self, url: str, heard: Callable[[str], None], beat: Callable[[], None]) -> None:
        self.lost = asyncio.Event()
        self.reason = ""
        self._base = f"{url}/socket.io/?EIO=4&transport="
        self._heard = heard
        self._beat = beat
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        self._sid = ""
        # The longest silence of a server that lives.
        self._patience = OPENING
        # Polling: packets to be posted, one POST at a time; when the poll that is under way is the last one.
        self._polls = 0
        self._unsent: list[str] = []
        self._posting = asyncio.Lock()
        self._last_poll = False
        self._polled = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, transport: Transport) -> None:
        """Shake hands. Raises LinkLost."""
        try:
            async with asyncio.timeout(OPENING):
                if transport == "websocket":
                    self._socket = await self._connect(f"{self._base}websocket")
                    self._greet(await self._socket.receive_str())
                else:
                    self._greet(await self._get())
        except _PROBLEMS as error:
            await self.close(f"no handshake: {error!r}")
            raise LinkLost(self.reason) from None
        if transport == "websocket":
            self._start(self._read_socket)
        else:
            self._start(self._poll)
            if transport == "upgrade":
                self._start(self._upgrade)

    def send(self, packet: str) -> None:
        """Send an Engine.IO packet, behind those before it."""
        self._unsent.append(packet)
        self._start(self._flush)

    async def close(self, reason: str) -> None:
        """Be done with it; whatever was under way is lost."""
        self.lose(reason)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for socket in self._sockets:
            with suppress(*_PROBLEMS):
                await socket.close()
        await self._http.close()

    # Both transports.

    def lose(self, reason: str) -> None:
        """Hold it for lost; its owner will close it."""
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()

    def _start(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        task = asyncio.create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        try:
            await work()
        except (*_PROBLEMS, LinkLost) as error:
            self.lose(f"{type(error).__name__}: {error}")

    def _greet(self, text: str) -> None:
        if not text.startswith("0"):
            raise LinkLost(f"no handshake, but {text[:80]}")
        facts = json.loads(text[1:].split(_SEPARATOR, maxsplit=1)[0])
        self._sid = facts["sid"]
        self._patience = (facts["pingInterval"] + facts["pingTimeout"]) / 1000

    def _take(self, packet: str) -> None:
        if packet.startswith("4"):
            self._heard(packet[1:])
        elif packet == "2":
            self._beat()
            self.send("3")
        elif packet == "1":
            self.lose("closed by the server")

    async def _flush(self) -> None:
        async with self._posting:
            packets, self._unsent = self._unsent, []
            if not packets or self.lost.is_set():
                return
            if self._socket is not None:
                for packet in packets:
                    await self._socket.send_str(packet)
            else:
                await self._post(_SEPARATOR.join(packets))

    # WebSocket.

    async def _connect(self, url: str) -> aiohttp.ClientWebSocketResponse:
        socket = await self._http.ws_connect(url, max_msg_size=0, timeout=_NO_CLOSING)
        self._sockets.append(socket)
        return socket

    async def _read_socket(self) -> None:
        assert self._socket is not None
        while not self.lost.is_set():
            message = await self._socket.receive(self._patience)
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise LinkLost(f"closed with {self._socket.close_code}")
            self._take(message.data)

    # Polling.

    async def _get(self) -> str:
        # aiohttp sends a GET once more when its answer does not come: the server knows it again by its `t`.
        self._polls += 1
        url = f"{self._base}polling&t={self._polls}" + (f"&sid={self._sid}" if self._sid else "")
        async with self._http.get(url, timeout=aiohttp.ClientTimeout(self._patience + 1)) as response:
            text = await response.text()
            if response.status != 200:
                raise LinkLost(f"polling was answered {response.status}")
            return text

    async def _post(self, body: str) -> None:
        url = f"{self._base}polling&sid={self._sid}"
        timeout = aiohttp.ClientTimeout(self._patience + 1)
        async with self._http.post(url, data=body, timeout=timeout) as response:
            if response.status != 200:
                raise LinkLost(f"a POST was answered {response.status}")

    async def _poll(self) -> None:
        while not self.lost.is_set() and not self._last_poll:
            for packet in (await self._get()).split(_SEPARATOR):
                self._take(packet)
        self._polled.set()

    async def _upgrade(self) -> None:
        """Move over to a WebSocket as the stock client does; while that fails, polling goes on."""
        try:
            async with asyncio.timeout(OPENING):
                candidate = await self._connect(f"{self._base}websocket&sid={self._sid}")
                await candidate.send_str("2probe")
                if await candidate.receive_str() != "3probe":
                    return
        except _PROBLEMS:
            return
        # Nothing is posted any more, and the server ends the poll under way with a NOOP.
        async with self._posting:
            self._last_poll = True
            await self._polled.wait()
            await candidate.send_str("5")
            self._socket = candidate
        await self._read_socket()
