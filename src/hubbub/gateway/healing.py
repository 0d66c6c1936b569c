"""Healing: what the bus did not bring, found in the log (docs/life-of-a-message.md).

Missed -> rights that have ended, then each room's messages behind its `seq`
every few seconds -> the newest `seq` of all rooms, since nothing comes after the last message to show a gap;
with a bus that is silent, as if all had been missed: nobody keeps a right for as long as it stays away

Only of use with several nodes.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from hubbub.chat.failures import translate
from hubbub.chat.messages import Messages
from hubbub.chat.standing import Standing
from hubbub.cluster.base import CutOff, Expel, Missed, Telling
from hubbub.gateway.clients import Clients
from hubbub.gateway.delivery import Delivery

log = logging.getLogger(__name__)

LOOK: Final = 5.0
"""Seconds between two looks at the newest messages of all rooms."""

QUIET: Final = 3.0
"""Seconds of silence of the bus from which on it may not be the chats that are quiet."""

_RETRY: Final = 1.0
_CHATS: Final = 500
_PAGE: Final = 500


class Healing:
    """Must be closed once started. `hear` is given what the bus should have told of rights; `silence` is how
    many seconds ago the bus was last heard.
    """

    def __init__(
        self,
        delivery: Delivery,
        clients: Clients,
        messages: Messages,
        standing: Standing,
        hear: Callable[[Telling], None],
        silence: Callable[[], float],
    ) -> None:
        self._delivery = delivery
        self._clients = clients
        self._messages = messages
        self._standing = standing
        self._hear = hear
        self._silence = silence
        # Chats of which something may have been missed; whether anything may have been.
        self._missed: set[str] = set()
        self._missed_all = False
        self._wake = asyncio.Event()
        # The newest `seq` of each room at the last look.
        self._newest: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self.healed = 0

    def heard(self, telling: Telling) -> None:
        """Take note of what the bus may have missed; to be subscribed to it."""
        if isinstance(telling, Missed):
            if telling.chat_ids is None:
                self._missed_all = True
            else:
                self._missed |= telling.chat_ids
            self._wake.set()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End what is being read."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._wake.wait()
            except TimeoutError:
                pass
            try:
                if self._silence() > QUIET:
                    self._missed_all = True
                    self._wake.set()
                if self._wake.is_set():
                    await self._heal()
                else:
                    await self.look()
            except Exception as error:
                log.warning(
                    "what the bus missed cannot be read yet: %s", error, exc_info=translate(error) is None
                )
                await asyncio.sleep(_RETRY)

    async def look(self) -> None:
        """Read what is missing from rooms that are no further now than the log was at the last look."""
        before, self._newest = self._newest, await self._last_seqs(self._delivery.told())
        told = self._delivery.told()
        for chat_id, seq in before.items():
            if chat_id in told and seq > told[chat_id]:
                await self._read(chat_id)

    async def _heal(self) -> None:
        """Look after everything that may have been missed; what fails is tried again."""
        self._wake.clear()
        missed, everything = self._missed, self._missed_all
        self._missed, self._missed_all = set(), False
        try:
            await self._check_rights(None if everything else missed)
            told = self._delivery.told()
            chats = told if everything else [chat_id for chat_id in missed if chat_id in told]
            for chat_id, seq in (await self._last_seqs(chats)).items():
                if seq > told[chat_id]:
                    await self._read(chat_id)
        except BaseException:
            self._missed |= missed
            self._missed_all |= everything
            self._wake.set()
            raise

    async def _check_rights(self, chat_ids: set[str] | None) -> None:
        """End what should have ended: rooms of former members, connections of users switched off."""
        inside: dict[str, set[str]] = {}
        for client in self._clients.all():
            # Whoever is entering a room just now is to be looked at again.
            client.revocations += 1
            for chat_id in client.rooms:
                if chat_ids is None or chat_id in chat_ids:
                    inside.setdefault(chat_id, set()).add(client.who.user_id)
        for chat_id, user_ids in inside.items():
            for user_id in await self._standing.outsiders(chat_id, user_ids):
                self._hear(Expel(chat_id=chat_id, user_id=user_id))
        if chat_ids is None:
            connected = {client.who.user_id for client in self._clients.all()}
            for user_id in await self._standing.switched_off(connected):
                self._hear(CutOff(user_id=user_id))

    async def _last_seqs(self, chat_ids: Iterable[str]) -> dict[str, int]:
        rest, found = iter(chat_ids), dict[str, int]()
        while chunk := list(islice(rest, _CHATS)):
            found.update(await self._messages.last_seqs(chunk))
        return found

    async def _read(self, chat_id: str) -> None:
        """Deliver all that the log has behind what was told."""
        while (seq := self._delivery.told().get(chat_id)) is not None:
            missing = await self._messages.after(chat_id, seq, None, _PAGE)
            for telling in missing:
                self._delivery.deliver(telling)
            self.healed += len(missing)
            if len(missing) < _PAGE:
                return
