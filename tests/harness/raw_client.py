"""A WebSocket that shows every Socket.IO packet, and that answers heartbeats only when it is told to."""

import asyncio
import json
from typing import Any

import aiohttp

from tests.harness.clients import NAMESPACE, Json
from tests.harness.inbox import PATIENCE, Inbox


class RawSocket:
    """One connection; `packets` are all Engine.IO packets received, heartbeats included."""

    def __init__(self, url: str) -> None:
        self.packets: list[str] = []
        self.inbox = Inbox()
        self.answer_heartbeats = True
        self._url = url
        self._http = aiohttp.ClientSession()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._acks = 1000

    async def open(self, auth: Json | None, headers: dict[str, str] | None = None) -> None:
        """Open the WebSocket and send CONNECT; waits for nothing. `auth` None sends no CONNECT."""
        url = f"{self._url}/socket.io/?EIO=4&transport=websocket"
        self._socket = await self._http.ws_connect(url, headers=headers, max_msg_size=0)
        self._reader = asyncio.create_task(self._read(self._socket))
        if auth is not None:
            await self.send(f"40{NAMESPACE},{json.dumps(auth)}")

    async def connect(self, auth: Json) -> str:
        """Open and wait for the answer to CONNECT; the socket's id."""
        await self.open(auth)
        answer = await self.inbox.until(self._connected, PATIENCE, "the answer to CONNECT")
        return str(answer["sid"])

    async def send(self, packet: str) -> None:
        """Send one Engine.IO packet."""
        assert self._socket is not None
        await self._socket.send_str(packet)

    async def request(self, event: str, payload: Any) -> Json:
        """A request and its answer, the first one."""
        self._acks += 1
        number = self._acks
        await self.send(f"42{NAMESPACE},{number}{json.dumps([event, payload])}")

        def answer() -> Json | None:
            answers = self.answers(number)
            return answers[0] if answers else None

        return await self.inbox.until(answer, PATIENCE, f"the answer to {event}")

    def answers(self, number: int | None = None) -> list[Any]:
        """All acknowledgements so far, or those with that number."""
        head = f"43{NAMESPACE}," + ("" if number is None else f"{number}[")
        return [
            json.loads(packet[packet.index("[") :])[0] for packet in self.packets if packet.startswith(head)
        ]

    def events(self, name: str) -> list[Any]:
        """The first arguments of all events of that name."""
        decoded = [
            json.loads(packet[packet.index("[") :]) for packet in self.packets if packet.startswith("42")
        ]
        return [event[1] for event in decoded if event[0] == name]

    async def wait_event(self, name: str, count: int = 1) -> list[Any]:
        """The payloads of that name once there are so many."""

        def enough() -> list[Any] | None:
            events = self.events(name)
            return events if len(events) >= count else None

        return await self.inbox.until(enough, PATIENCE, f"{count} x {name}")

    async def wait_heartbeat(self) -> None:
        """Wait for a heartbeat that the server sends from now on."""
        before = self.packets.count("2")
        await self.inbox.until(
            lambda: True if self.packets.count("2") > before else None, PATIENCE, "a heartbeat"
        )

    async def close(self) -> None:
        """Close the WebSocket."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader
        await self._http.close()

    def _connected(self) -> Json | None:
        head = f"40{NAMESPACE},"
        found = next((packet for packet in self.packets if packet.startswith(head)), None)
        return None if found is None else json.loads(found[len(head) :])

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.packets.append(message.data)
                if message.data == "2" and self.answer_heartbeats:
                    await socket.send_str("3")
                self.inbox.add(message.data[:2], [message.data])
        self.inbox.add("$disconnect", [socket.close_code])
