"""A server in this process and bare clients of it: what is counted happens here, and can be told apart."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.load.wire import masked, upgrade_request
from tests.faults.inprocess import House, running
from tests.harness.users import User, new_user

CHAT = b"42/chat,"


class Guest:
    """A bare WebSocket in `/chat`: it sends, and counts what it hears."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._heard = b""
        self._acks = 0

    @classmethod
    async def enter(cls, house: House, user: User) -> "Guest":
        """Connect and log in."""
        host, _, port = house.url.removeprefix("http://").partition(":")
        guest = cls(*await asyncio.open_connection(host, int(port)))
        guest._writer.write(upgrade_request(host, int(port)))
        await guest.hear(b'0{"sid"')
        guest._send(b"40/chat," + json.dumps({"token": user.token()}).encode())
        await guest.hear(b"40/chat,{")
        return guest

    async def ask(self, event: str, payload: dict[str, str]) -> None:
        """A request, and its answer."""
        self._acks += 1
        number = b"%d" % self._acks
        self._send(CHAT + number + json.dumps([event, payload]).encode())
        await self.hear(b"43/chat," + number + b'[{"success":true')

    async def hear(self, text: bytes, times: int = 1) -> None:
        """Wait until `text` has been heard so often since the last thing that was waited for."""
        while self._heard.count(text) < times:
            self._heard += await self._reader.read(1 << 16)
        place = 0
        for _ in range(times):
            place = self._heard.index(text, place) + len(text)
        self._heard = self._heard[place:]

    async def leave(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()

    def _send(self, packet: bytes) -> None:
        self._writer.write(masked(packet))


@asynccontextmanager
async def room(folder: Path, members: int) -> AsyncIterator[tuple[House, str, list[Guest]]]:
    """A server, a chat, and so many guests of different users in its room; nothing is on its way any more."""
    async with running(folder) as house:
        users = [new_user() for _ in range(members)]
        chat_id = await house.rest.chat(users[0], *users[1:])
        guests = [await Guest.enter(house, user) for user in users]
        for guest in guests:
            await guest.ask("join:chat", {"chatId": chat_id})
        await guests[-1].hear(b'"room:online-update"')
        yield house, chat_id, guests
        for guest in guests:
            await guest.leave()


async def say(guests: list[Guest], chat_id: str, messages: int) -> None:
    """The first guest sends messages, one after the other; all hear each."""
    for _ in range(messages):
        await guests[0].ask("message:send", {"chatId": chat_id, "content": "hello"})
    for guest in guests[1:]:
        await guest.hear(b'"message:new"', messages)
