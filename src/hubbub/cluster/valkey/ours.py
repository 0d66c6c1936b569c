"""What a node knows of its own sockets, and has told others while it was on its own."""

import secrets
from dataclasses import dataclass

import msgspec

from hubbub.cluster.base import PresentUser
from hubbub.cluster.local.registry import LocalRegistry

_NUMBERS = 2**53


@dataclass(frozen=True, slots=True)
class _Departure:
    """A departure by a last socket of this node; `local` is its number in this node's own registry.

    `epoch` is that of the shared registry which knows the departure, None when it was away.
    """

    number: int
    local: int
    epoch: bytes | None


class Ours:
    """The truth about the sockets of this node."""

    def __init__(self) -> None:
        self.registry = LocalRegistry()
        # Of the shared registry; another one means that it has lost everything.
        self.epoch: bytes | None = None
        # Users told as come and as gone while Valkey was away.
        self.told_alone: set[str] = set()
        self.told_gone: set[str] = set()
        self._departures: dict[str, _Departure] = {}
        # Times of activity that the others do not know yet.
        self._touches: dict[str, int] = {}

    def touch(self, user_id: str, now: int) -> None:
        """Note that a user has just done something."""
        if self.registry.has_user(user_id):
            self.registry.touch(user_id, now)
            self._touches[user_id] = now

    def last_touch(self, user_id: str) -> int | None:
        """Return when a user did something, if the others do not know of it."""
        return self._touches.get(user_id)

    def touches(self) -> dict[str, int]:
        """Return what the others do not know of yet, until `touches_told`."""
        return dict(self._touches)

    def touches_told(self, told: dict[str, int]) -> None:
        """Note that the others know."""
        for user_id, at in told.items():
            if self._touches.get(user_id) == at:
                del self._touches[user_id]

    def touched(self, user: PresentUser) -> PresentUser:
        """Return a user as the others know it, with what only this node knows."""
        at = self._touches.get(user.user_id, 0)
        return msgspec.structs.replace(user, last_seen=at) if at > user.last_seen else user

    async def departed(self, user_id: str, local: int, number: int | None) -> int | None:
        """Note that a user's last socket here has gone; `number` is None when there are others elsewhere."""
        if number is None:
            await self.registry.forget(user_id, local)
            self._touches.pop(user_id, None)
        else:
            self._departures[user_id] = _Departure(number, local, self.epoch)
        return number

    def departed_alone(self, user_id: str, local: int) -> int:
        """Note the same while Valkey is away; return a number for the departure."""
        number = secrets.randbelow(_NUMBERS)
        self._departures[user_id] = _Departure(number, local, None)
        return number

    def was_lost(self, user_id: str, number: int) -> bool:
        """Whether the shared registry, as it is now, never knew of a departure."""
        known = self._departures.get(user_id)
        return known is not None and known.number == number and known.epoch != self.epoch

    async def forget(self, user_id: str, number: int) -> PresentUser | None:
        """End a presence as far as this node knows."""
        known = self._departures.get(user_id)
        if known is None or known.number != number:
            return None
        del self._departures[user_id]
        user = await self.registry.forget(user_id, known.local)
        if user is not None:
            self._touches.pop(user_id, None)
        return user
