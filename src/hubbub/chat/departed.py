"""What dead nodes left behind, told to the living as if it had been said goodbye.

every second: registry.reap -> rooms: user:left -> typing: ended -> presence: grace, user:offline

Only of use with several nodes.
"""

import asyncio
import logging
from typing import Final

from hubbub.chat.presence import Presence
from hubbub.chat.rooms import Rooms
from hubbub.chat.typing import Typing
from hubbub.cluster.base import Registry

log = logging.getLogger(__name__)

INTERVAL: Final = 1.0


class Departed:
    """Clears away and tells. `grace` is the presence's, in seconds. Once started it must be closed."""

    def __init__(
        self, registry: Registry, rooms: Rooms, typing: Typing, presence: Presence, grace: float
    ) -> None:
        self._registry = registry
        self._rooms = rooms
        self._typing = typing
        self._presence = presence
        self._grace = grace
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep every second from now on."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Sweep no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def sweep(self) -> None:
        """Have the registry cleared, and tell of what was found."""
        reaped = await self._registry.reap(self._grace)
        for entry in reaped.typing:
            self._typing.abandoned(entry)
        for vacancy in reaped.vacancies:
            self._rooms.vacated(vacancy)
        for departure in reaped.departures:
            self._presence.departed(departure.user_id, departure.number)
        for user in reaped.returned:
            await self._presence.returned(user)
        for chat_id in reaped.restored:
            self._rooms.restored(chat_id)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.sweep()
            except Exception:
                log.exception("What dead nodes left could not be told")
