"""What dead nodes left is told as if it had been said goodbye."""

from hubbub.chat.departed import Departed
from hubbub.chat.online import RoomWatch
from hubbub.chat.presence import Presence, PresenceRules
from hubbub.chat.rooms import Rooms
from hubbub.chat.typing import Typing
from hubbub.cluster.base import Departure, Occupancy, Reaped, TypingEntry, Vacancy
from hubbub.cluster.local import LocalRegistry
from hubbub.contract import events
from tests.chat.fakes import BusRecorder, FakeDirectory, FakeTimers
from tests.cluster.implementations import connection


class ReapingRegistry(LocalRegistry):
    """Gives what a dead node left, once."""

    def __init__(self) -> None:
        super().__init__()
        self.left = Reaped()

    async def reap(self, grace: float) -> Reaped:
        left, self.left = self.left, Reaped()
        return left


async def test_the_users_of_a_dead_node_leave_their_rooms_and_go_offline() -> None:
    """user:left and the end of typing at once, the room's list soon, user:offline after the grace time."""
    registry, bus, timers = ReapingRegistry(), BusRecorder(), FakeTimers()
    await registry.connect(gone := connection("s", "u"))
    await registry.connect(other := connection("t", "v"))
    await registry.enter("c", other)
    departure = await registry.disconnect(gone)
    assert departure is not None
    watch = RoomWatch(registry, bus, interval=0.25, list_limit=10, timers=timers)
    typing = Typing(registry, bus, broadcast_limit=10, timeout=3.0, timers=timers)
    presence = Presence(registry, FakeDirectory(), bus, PresenceRules(), timers)
    rooms = Rooms(None, registry, bus, watch, typing)  # type: ignore[arg-type]  # it asks no store here
    departed = Departed(registry, rooms, typing, presence, 2.0)
    back = await registry.user("v")
    assert back is not None
    empty = Occupancy(online=1, devices=0, changed=True)
    registry.left = Reaped(
        departures=[Departure(user_id="u", number=departure)],
        vacancies=[Vacancy(chat_id="c", user_id="u", username="U", occupancy=empty)],
        typing=[TypingEntry(user_id="u", username="U", chat_id="c", started_at=0)],
        returned=[back],
        restored=frozenset({"d"}),
    )
    await departed.sweep()
    first, second, third = bus.take_events()
    assert isinstance(first, events.UserTyping)
    assert not first.is_typing
    assert isinstance(second, events.UserLeft)
    assert (second.username, second.online_count, second.device_count) == ("U", 1, 0)
    assert isinstance(third, events.UserOnline)
    await timers.advance(0.1)
    assert [type(event) for event in bus.take_events()] == [events.RoomOnlineUpdate]
    await timers.advance(2.0)
    assert [type(event) for event in bus.take_events()] == [events.UserOffline]
    await departed.sweep()
    assert bus.take() == []
    for part in (typing, presence, watch):
        await part.close()
