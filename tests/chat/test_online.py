"""A room hears who is online: at once, then at most once in an interval, the last state always."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from hubbub.chat.online import RoomWatch
from hubbub.cluster.base import Connection, ToRoom
from hubbub.cluster.local import LocalRegistry
from hubbub.contract.events import RoomOnlineUpdate
from tests.chat.fakes import BusRecorder, FakeTimers, connection


class House:
    """A room watch with all that it needs."""

    def __init__(self, list_limit: int = 100) -> None:
        self.timers = FakeTimers()
        self.registry = LocalRegistry()
        self.bus = BusRecorder()
        self.watch = RoomWatch(
            self.registry, self.bus, interval=0.25, list_limit=list_limit, timers=self.timers
        )

    async def enter(self, user_id: str, chat_id: str = "chat") -> Connection:
        """Have a user connect and enter a room."""
        who = connection(user_id)
        await self.registry.connect(who)
        await self.registry.enter(chat_id, who)
        self.watch.changed(chat_id)
        return who

    async def leave(self, who: Connection, chat_id: str = "chat") -> None:
        """Have a socket leave a room."""
        await self.registry.leave(chat_id, who)
        self.watch.changed(chat_id)

    def heard(self, chat_id: str = "chat") -> Iterator[RoomOnlineUpdate]:
        """What the room heard since the last call."""
        for telling in self.bus.take():
            assert isinstance(telling, ToRoom)
            assert isinstance(telling.event, RoomOnlineUpdate)
            assert (telling.skip_socket, telling.skip_user) == (None, None)
            if telling.chat_id == chat_id:
                yield telling.event


@pytest.fixture
def house() -> House:
    """One with the documented limits."""
    return House()


def names(update: RoomOnlineUpdate) -> list[str]:
    """Who is online in it."""
    return [user.user_id for user in update.online_users]


async def test_the_first_change_is_told_at_once(house: House) -> None:
    """No time passes before the room hears of it, with every documented field."""
    await house.enter("ada")
    await house.timers.advance(0.0)
    (update,) = house.heard()
    assert (names(update), update.count, update.chat_id, update.truncated) == (["ada"], 1, "chat", False)
    assert update.timestamp.endswith("Z")
    assert update.online_users[0].username == "Ada"


async def test_many_changes_are_one_update_an_interval_later(house: House) -> None:
    """Within 250 ms of an update nothing is told; then the last state is, once."""
    await house.enter("a")
    await house.timers.advance(0.0)
    assert len(list(house.heard())) == 1
    for user_id in "bcde":
        await house.enter(user_id)
        await house.timers.advance(0.0625 - 0.001)
    assert list(house.heard()) == []
    await house.timers.advance(0.0625)
    (update,) = house.heard()
    assert names(update) == list("abcde")
    await house.timers.advance(10.0)
    assert list(house.heard()) == []


async def test_a_room_that_was_quiet_hears_at_once_again(house: House) -> None:
    """The interval is not waited for when the last update is longer ago."""
    await house.enter("a")
    await house.timers.advance(5.0)
    assert len(list(house.heard())) == 1
    await house.enter("b")
    await house.timers.advance(0.0)
    assert [names(update) for update in house.heard()] == [["a", "b"]]


async def test_a_busy_room_hears_every_interval(house: House) -> None:
    """At most one update in 250 ms, however much happens, and never later than that."""
    step = 1 / 64
    times: list[float] = []
    for number in range(128):
        await house.enter(f"user {number}")
        await house.timers.advance(step)
        times += [house.timers.now for _ in house.heard()]
    assert {later - earlier for earlier, later in pairwise(times[1:])} == {0.25}
    assert times[1] - times[0] == 0.25 - step
    assert len(times) == 9


async def test_rooms_do_not_wait_for_each_other(house: House) -> None:
    """Each room has its own interval."""
    await house.enter("a", "chat 1")
    await house.enter("b", "chat 2")
    await house.timers.advance(0.0)
    told = [telling for telling in house.bus.take() if isinstance(telling, ToRoom)]
    assert [telling.chat_id for telling in told] == ["chat 1", "chat 2"]


async def test_an_empty_room_is_told_nothing(house: House) -> None:
    """When everybody has left there is nobody to tell, and nothing is kept of the room."""
    who = await house.enter("a")
    await house.timers.advance(0.0)
    await house.leave(who)
    list(house.heard())
    await house.timers.advance(5.0)
    assert list(house.heard()) == []
    assert house.watch._recent == {}
    assert house.timers.pending == 0


async def test_a_long_list_is_cut_and_says_so() -> None:
    """Beyond the limit the first users by id are listed; `count` stays the whole number."""
    house = House(list_limit=3)
    for number in (5, 3, 1, 4, 2):
        await house.enter(f"u{number}")
    await house.timers.advance(0.0)
    (update,) = house.heard()
    assert (names(update), update.count, update.truncated) == (["u1", "u2", "u3"], 5, True)


async def test_a_closed_watch_tells_nothing(house: House) -> None:
    """After closing there is neither a timer nor a task."""
    await house.enter("a")
    await house.watch.close()
    await house.enter("b")
    await house.timers.advance(5.0)
    assert list(house.heard()) == []
    assert house.timers.pending == 0
