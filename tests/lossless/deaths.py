"""A server that dies at a certain point, as by `kill -9`: `python -m tests.lossless.deaths POINT serve ...`.

Points on the way of a message are passed by those that begin with `LAST_WORDS`, others by whoever comes
there first. They are patched in from outside; the product has no switch for them.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

from hubbub.chat.messages import Answer, Committing, Messages
from hubbub.chat.recovery import Recovery, Resumed
from hubbub.chat.trail import Trail
from hubbub.cli import main as hubbub
from hubbub.cluster.base import MessageNew, Telling
from hubbub.cluster.valkey.bus import ValkeyBus
from hubbub.engineio import upgrade
from hubbub.engineio.flusher import Flusher
from hubbub.engineio.packets import Prepared
from hubbub.engineio.session import Session
from hubbub.store.base import StoreError
from hubbub.store.postgres import append
from hubbub.store.postgres.connections import Transaction
from hubbub.store.records import Appended, NewMessage

LAST_WORDS: Final = "The last words"


def die() -> None:
    """At once, and without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def before_commit() -> None:
    """It is written, and not committed."""
    write = append.append

    async def dying(transaction: Transaction, batch: Sequence[NewMessage]) -> list[Appended | StoreError]:
        outcomes = await write(transaction, batch)
        if any(new.content.startswith(LAST_WORDS) for new in batch):
            die()
        return outcomes

    append.append = dying


def before_ack() -> None:
    """It is committed; nobody was told, nor was its sender."""
    committed = Messages._committed

    def dying(self: Messages, answer: Answer, appended: Committing) -> None:
        if appended.result().message.content.startswith(LAST_WORDS):
            die()
        committed(self, answer, appended)

    Messages._committed = dying  # type: ignore[method-assign]


def before_publish() -> None:
    """It is acknowledged, and told on this node; the others are never told."""
    say = ValkeyBus._say

    def dying(self: ValkeyBus, channel: str, telling: Telling) -> None:
        if isinstance(telling, MessageNew) and telling.message.content.startswith(LAST_WORDS):
            asyncio.get_running_loop().call_later(0.2, die)
        else:
            say(self, channel, telling)

    ValkeyBus._say = dying  # type: ignore[method-assign]


def amid_the_fan_out() -> None:
    """It is written to the first socket, and to no other one."""
    committed, flush = Messages._committed, Flusher._flush_slice
    last = False

    def noticing(self: Messages, answer: Answer, appended: Committing) -> None:
        nonlocal last
        last = appended.result().message.content.startswith(LAST_WORDS)
        committed(self, answer, appended)

    def dying(self: Flusher, count: int) -> None:
        flush(self, 1 if last else count)
        if last:
            die()

    Messages._committed = noticing  # type: ignore[method-assign]
    Flusher._flush_slice = dying  # type: ignore[method-assign]


def before_a_recovery_is_stored() -> None:
    """Somebody recovers, and the token has not been replaced."""

    async def dying(self: Recovery, trail: Trail, resumed: Resumed, used: bytes) -> str:
        die()
        raise AssertionError("still alive")

    Recovery.take_over = dying  # type: ignore[method-assign]


def before_a_recovery_is_answered() -> None:
    """Somebody recovers; the token has been replaced, and nobody knows the new one."""
    take_over = Recovery.take_over

    async def dying(self: Recovery, trail: Trail, resumed: Resumed, used: bytes) -> str:
        await take_over(self, trail, resumed, used)
        die()
        raise AssertionError("still alive")

    Recovery.take_over = dying  # type: ignore[method-assign]


def amid_an_upgrade() -> None:
    """A session has just moved from polling to its WebSocket."""
    probe = upgrade.probe

    def dying(session: Session, text: str) -> Prepared | None:
        answer = probe(session, text)
        if answer is None:
            die()
        return answer

    upgrade.probe = dying


POINTS: Final[dict[str, Callable[[], None]]] = {
    point.__name__.replace("_", "-"): point
    for point in (
        before_commit,
        before_ack,
        before_publish,
        amid_the_fan_out,
        before_a_recovery_is_stored,
        before_a_recovery_is_answered,
        amid_an_upgrade,
    )
}


def program(point: str) -> tuple[str, ...]:
    """How to start the server that dies there."""
    return ("-m", "tests.lossless.deaths", point)


if __name__ == "__main__":
    POINTS[sys.argv.pop(1)]()
    hubbub()
