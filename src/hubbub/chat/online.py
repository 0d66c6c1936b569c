"""Who is online in a room, told to the room: at most once in an interval, the last state always.

changed(chat) -> told in the same turn of the loop, or, when the room was told a moment ago, once the
interval is over
"""

from hubbub.chat import wire
from hubbub.chat.deadlines import Deadlines, Timers
from hubbub.cluster.base import Bus, Registry, ToRoom
from hubbub.contract import events
from hubbub.contract.values import iso, now


class RoomWatch:
    """Tells rooms `room:online-update`. `interval` is in seconds; lists are cut to `list_limit` users.

    Must be closed.
    """

    def __init__(
        self, registry: Registry, bus: Bus, *, interval: float, list_limit: int, timers: Timers | None = None
    ) -> None:
        self._registry = registry
        self._bus = bus
        self._list_limit = list_limit
        # Rooms told within the interval, or about to be; and whether they have changed since.
        self._recent: dict[str, bool] = {}
        self._soon: Deadlines[str] = Deadlines(0.0, self._tell, timers)
        self._intervals: Deadlines[str] = Deadlines(interval, self._interval_over, timers)

    def changed(self, chat_id: str) -> None:
        """Note that the set of users in a room has changed."""
        if chat_id in self._recent:
            self._recent[chat_id] = True
        else:
            self._recent[chat_id] = False
            self._soon.set(chat_id)

    async def close(self) -> None:
        """Tell nothing more."""
        await self._soon.close()
        await self._intervals.close()

    async def _interval_over(self, chat_ids: list[str]) -> None:
        changed = [chat_id for chat_id in chat_ids if self._recent[chat_id]]
        for chat_id in chat_ids:
            if not self._recent[chat_id]:
                del self._recent[chat_id]
        await self._tell(changed)

    async def _tell(self, chat_ids: list[str]) -> None:
        for chat_id in chat_ids:
            self._intervals.set(chat_id)
        for chat_id in chat_ids:
            self._recent[chat_id] = False
            update = await self._update(chat_id)
            if update is not None:
                self._bus.publish(ToRoom(chat_id=chat_id, event=update))

    async def _update(self, chat_id: str) -> events.RoomOnlineUpdate | None:
        """Return the room's state; None when nobody is there to be told."""
        count = await self._registry.room_count(chat_id)
        users = await self._registry.room_users(chat_id, "", self._list_limit)
        if not users:
            return None
        return events.RoomOnlineUpdate(
            chat_id=chat_id,
            online_users=[wire.online_user(user) for user in users],
            count=count,
            timestamp=iso(now()),
            truncated=count > len(users),
        )
