"""Announcements: one write for many arrivals, and nothing about a user before the user's presence."""

import asyncio
from collections.abc import Callable, Collection
from typing import cast

import pytest

from hubbub.cluster.base import MessageNew, Telling, ToRoom, ToUsers
from hubbub.contract import events, objects
from hubbub.gateway.announcing import Announcements
from hubbub.socketio import Outgoing, Server, Socket


class FakeServer:
    """Notes what waits and what was released."""

    def __init__(self) -> None:
        self.waiting: list[object] = []
        self.released: list[list[object]] = []
        self.left = asyncio.Event()

    def broadcast_later(self, _namespace: str, packet: object, _skip: object) -> None:
        """Something waits."""
        self.waiting.append(packet)

    def release(self, _namespace: str) -> None:
        """It leaves."""
        self.released.append(self.waiting)
        self.waiting = []
        self.left.set()


class House:
    """Announcements over a fake server; a packet is the user's name."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.announcements = Announcements(cast("Server", self.server))

    def tell(self, *user_ids: str) -> None:
        """Users arrive."""
        for user_id in user_ids:
            self.announcements.tell(user_id, cast("Outgoing", user_id), cast("Collection[Socket]", ()))

    async def wait(self, count: int) -> None:
        """Wait for so many releases."""
        async with asyncio.timeout(10):
            while len(self.server.released) < count:
                self.server.left.clear()
                await self.server.left.wait()


def typing(user_id: str) -> ToRoom:
    """A user types."""
    event = events.UserTyping(user_id=user_id, username="", chat_id="c", is_typing=True, timestamp="")
    return ToRoom(chat_id="c", event=event)


def going(user_id: str) -> ToUsers:
    """A user goes, and by now there are too many to tell everybody."""
    event = events.UserOffline(user_id=user_id, username="", status="offline", last_seen="", timestamp="")
    return ToUsers(user_ids=frozenset("x"), event=event)


def busy(user_id: str) -> ToUsers:
    """The same with a status."""
    event = events.UserStatusChanged(
        user_id=user_id,
        username="",
        status="busy",
        old_status="online",
        new_status="busy",
        last_seen="",
        timestamp="",
    )
    return ToUsers(user_ids=frozenset("x"), event=event)


def message(user_id: str) -> MessageNew:
    """A user has written."""
    told = objects.Message(
        id="m",
        content="",
        type="text",
        chat_id="c",
        user_id=user_id,
        created_at="",
        user=objects.Author(id=user_id, username=""),
        seq=1,
        client_message_id=None,
    )
    return MessageNew(message=told, position=1)


async def test_the_first_is_told_at_once_and_the_next_ones_together() -> None:
    """Nobody waits when it is quiet; in a storm one release serves many."""
    house = House()
    house.tell("a")
    assert house.server.released == [["a"]]
    house.tell("b", "c")
    assert house.server.released == [["a"]]
    await house.wait(2)
    house.tell("d")
    await house.wait(3)
    assert house.server.released == [["a"], ["b", "c"], ["d"]]
    house.announcements.close()


@pytest.mark.parametrize("made", [typing, message, going, busy])
async def test_presence_precedes_what_its_user_does(made: Callable[[str], Telling]) -> None:
    """What one user does hurries the announcements if the user's own is among them, and only then."""
    house = House()
    house.tell("a", "b", "c")
    house.announcements.precede(made("a"))
    assert house.server.released == [["a"]]
    house.announcements.precede(made("c"))
    assert house.server.released == [["a"], ["b", "c"]]
    house.announcements.close()


async def test_closing_tells_what_waits() -> None:
    """Nothing is lost at the end, and no timer is left."""
    house = House()
    house.tell("a", "b")
    house.announcements.close()
    assert house.server.released == [["a"], ["b"]]
    house.announcements.close()
    assert house.server.released == [["a"], ["b"]]
