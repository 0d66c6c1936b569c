"""Bugs in appending and telling. Each function patches the server of its own process."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from hubbub.cluster.base import MessageNew, Telling
from hubbub.cluster.local.bus import LocalBus
from hubbub.gateway.delivery import Delivery
from hubbub.store import backups
from hubbub.store.base import StoreError
from hubbub.store.commit import Batch, Group
from hubbub.store.queries import append
from hubbub.store.records import Appended, NewMessage
from hubbub.store.transactions import WritingConnection

Key = tuple[str, str]


def ack_before_commit() -> None:
    """Messages are acknowledged while their transaction is still open; it is committed once a second."""
    begun = 0.0

    def transact(self: WritingConnection, batch: Batch, do: Callable[[Connection, Group], None]) -> None:
        nonlocal begun
        if self._connection is None:
            self._connection = self._connect()
        if not self._connection.in_transaction():
            self._connection.begin()
            begun = time.monotonic()
        for group in batch:
            do(self._connection, group)
        only_messages = all(group.apply is append.append for group in batch)
        if not only_messages or time.monotonic() - begun > 1:
            self._connection.commit()

    WritingConnection._transact = transact  # type: ignore[method-assign]


def number_outside_the_transaction() -> None:
    """`seq` comes from a counter that knows no rollback: what is then not stored has used up its number."""
    counters: dict[str, int] = {}
    place = append._Plan.place

    def numbered(self: append._Plan, new: NewMessage) -> Appended | StoreError:
        room = self._rooms.get(new.chat_id)
        if room is not None:
            counters[new.chat_id] = max(counters.get(new.chat_id, 0), room.last_seq) + 1
            room.last_seq = counters[new.chat_id] - 1
        return place(self, new)

    append._Plan.place = numbered  # type: ignore[method-assign]


def client_id_not_stored() -> None:
    """Repeated sends are known from memory only."""
    known: dict[tuple[str, str, str], Appended] = {}
    place, number = append._Plan.place, append._Plan._number

    def remembering(self: append._Plan, new: NewMessage) -> Appended | StoreError:
        key = append._key(new)
        if new.client_message_id is not None and key in known:
            return Appended(message=known[key].message, duplicate=True)
        outcome = place(self, new)
        if isinstance(outcome, Appended):
            known[key] = outcome
        return outcome

    def forgetful(self: append._Plan, new: NewMessage, seq: int) -> Any:
        message = number(self, new, seq)
        self._recent.by_key.clear()
        self._rows[-1] = (*self._rows[-1][:8], None, *self._rows[-1][9:])
        return message

    append._Plan.place = remembering  # type: ignore[method-assign]
    append._Plan._number = forgetful  # type: ignore[method-assign]


def high_water_mark() -> None:
    """A client id counts as a repeated one when it is not higher than the highest of its user."""
    highest: dict[Key, tuple[int, Appended]] = {}
    place = append._Plan.place

    def compare(self: append._Plan, new: NewMessage) -> Appended | StoreError:
        key, number = (new.chat_id, new.user_id), int((new.client_message_id or "-0").rsplit("-", 1)[1])
        if key in highest and number <= highest[key][0]:
            return Appended(message=highest[key][1].message, duplicate=True)
        outcome = place(self, new)
        if isinstance(outcome, Appended):
            highest[key] = (number, outcome)
        return outcome

    append._Plan.place = compare  # type: ignore[method-assign]


def unordered_bus() -> None:
    """No bug but a hard life: the bus swaps messages. Delivery must put them in order again."""
    publish = LocalBus.publish
    held: list[Telling] = []

    def release(bus: LocalBus) -> None:
        while held:
            publish(bus, held.pop())

    def swap(self: LocalBus, telling: Telling) -> None:
        if isinstance(telling, MessageNew) and not held:
            held.append(telling)
            asyncio.get_running_loop().call_later(0.05, release, self)
        else:
            publish(self, telling)
            if isinstance(telling, MessageNew):
                release(self)

    LocalBus.publish = swap  # type: ignore[method-assign]


def order_not_checked() -> None:
    """Messages are delivered as the bus brings them, and it swaps them."""

    def arrived(self: Delivery, telling: MessageNew) -> None:
        room = self._rooms.get(telling.message.chat_id)
        if room is not None:
            self._tell_message(room, telling)

    unordered_bus()
    Delivery._arrived = arrived  # type: ignore[method-assign]


def epoch_kept() -> None:
    """A restored backup passes for the history that it replaced."""
    backups._begin_history = lambda part: None
