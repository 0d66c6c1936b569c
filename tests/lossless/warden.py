"""The warden: memberships end and begin while everything else goes wrong."""

import asyncio
import random
import time

import aiohttp

from tests.harness.rest import Rest
from tests.harness.users import User
from tests.lossless.history import History, Membership


class Warden:
    """Ends and renews a guest's membership, again and again; at the end the guest is a member."""

    def __init__(self, history: History, rest: Rest, owner: User, guest: User, chat: str) -> None:
        self._history = history
        self._rest = rest
        self._owner = owner
        self._guest = guest
        self._chat = chat

    async def run(self, seconds: float, seed: int) -> None:
        """Change it for so many seconds."""
        chance = random.Random(f"warden {seed}")
        deadline = time.monotonic() + seconds
        member = True
        while time.monotonic() < deadline or not member:
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            member = not member
            await self._change(member)

    async def _change(self, member: bool) -> None:
        """Until it is answered; what an earlier attempt has done already is done, too."""
        path = f"/chats/{self._chat}/participants"
        self._history.add(Membership(self._guest.id, self._chat, member, done=False))
        status = 0
        while not (200 <= status < 300 or status == 404):
            try:
                if member:
                    status, _ = await self._rest.ask(self._owner, "POST", path, {"userId": self._guest.id})
                else:
                    status, _ = await self._rest.ask(self._owner, "DELETE", f"{path}/{self._guest.id}")
            except (aiohttp.ClientError, OSError, TimeoutError):
                status = 0
            await asyncio.sleep(0.05)
        self._history.add(Membership(self._guest.id, self._chat, member, done=True))
