"""Senders: each message with a payload and a `clientMessageId` of its own, tried until it is answered.

Now and then something else: a message that is given up after its first failure, a long one, and ones that
must be refused.
"""

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.harness.clients import Json
from tests.lossless.clients import Session, seen
from tests.lossless.history import Fail, Info, Invoke, Ok, brief
from tests.lossless.links import LinkLost

PATIENCE: Final = 1.5
"""Seconds until an attempt counts as timed out."""
TIMED_OUT: Final = "timed out"
RETRY: Final = 0.15
FINAL: Final = frozenset({"INVALID_REQUEST", "NOT_FOUND", "CONFLICT", "FORBIDDEN"})
"""Refusals that trying again does not change."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent. `insists`: until it is answered."""

    chat: str
    client_id: str
    content: str
    insists: bool = True


class Sender:
    """Some lanes of one session that send side by side, a message each `pace` seconds on average."""

    def __init__(
        self, session: Session, seed: str, pace: float, stranger: str, patience: float = PATIENCE
    ) -> None:
        self._session = session
        self._random = random.Random(seed)
        self._pace = pace
        self._stranger = stranger
        self._patience = patience
        self._numbers = itertools.count(1)
        self._last: Message | None = None
        self.ended = asyncio.Event()

    async def run(self, lanes: int) -> None:
        """Send until `ended` is set, and what was begun then until it is done with."""
        async with asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        while not self.ended.is_set():
            await asyncio.sleep(self._random.uniform(0, 2 * self._pace))
            for message in self._next():
                await self.deliver(message)

    def _next(self) -> Iterator[Message]:
        """What to send next: mostly one message."""
        chance = self._random.random()
        chat = self._random.choice(self._session.role.chats)
        client_id = f"{self._session.role.name}-{next(self._numbers)}"
        if chance < 0.02:
            yield Message(chat, client_id, "   ")
        elif chance < 0.03:
            yield Message(self._stranger, client_id, f"{client_id} to strangers")
        elif chance < 0.05 and self._last is not None:
            yield Message(self._last.chat, self._last.client_id, f"{client_id} under a used id")
        elif chance < 0.10:
            yield Message(chat, client_id, f"{client_id} " + "long " * self._random.randint(100, 790) + ".")
        else:
            yield Message(chat, client_id, f"{client_id}", insists=chance < 0.95)

    async def deliver(self, message: Message) -> None:
        """Try until it is answered for good, or given up."""
        while True:
            await self._session.up.wait()
            answer = await self._attempt(message)
            code = None if answer is None else answer.get("code")
            if answer is not None and answer["success"]:
                self._last = message
                return
            if code in FINAL or not message.insists:
                return
            await asyncio.sleep(RETRY)

    async def _attempt(self, message: Message) -> Json | None:
        """One attempt; its answer, if there was one."""
        session = self._session
        history = session.desk.history
        op = history.next_op()
        user = session.role.user.id
        text = brief(message.content)
        history.add(Invoke(op, session.connection, user, message.chat, message.client_id, text))
        payload = {
            "chatId": message.chat,
            "content": message.content,
            "clientMessageId": message.client_id,
        }
        try:
            answer = await session.request("message:send", payload, self._patience)
        except (LinkLost, TimeoutError) as error:
            history.add(Info(op, str(error) or TIMED_OUT))
            return None
        if answer["success"]:
            history.add(Ok(op, seen(answer["sentMessage"]), answer.get("duplicate", False)))
        else:
            history.add(Fail(op, answer["code"]))
        return answer
