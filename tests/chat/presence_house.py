"""A house of five users: presence with all that it needs."""

from hubbub.chat.presence import Presence, PresenceRules
from hubbub.cluster.base import Connection
from hubbub.cluster.local import LocalRegistry
from hubbub.contract import objects
from hubbub.contract.events import UsersOnline
from tests.chat.fakes import BusRecorder, FakeDirectory, FakeTimers, connection

NAMES = ("ada", "bob", "cid", "dan", "eve")


class House:
    """Presence with all that it needs, and five registered users."""

    def __init__(self, rules: PresenceRules | None = None) -> None:
        self.timers = FakeTimers()
        self.registry = LocalRegistry()
        self.bus = BusRecorder()
        self.directory = FakeDirectory()
        for name in NAMES:
            self.directory.add(name)
        self.presence = Presence(
            self.registry, self.directory, self.bus, rules or PresenceRules(), self.timers
        )

    async def come(self, user_id: str, role: str = "user") -> Connection:
        """Have a user connect by a fresh socket."""
        who = connection(user_id, role=role)
        await self.presence.connected(who)
        return who

    async def status(self, asker: Connection, user_id: str) -> objects.Presence:
        """What the asker is told of a user."""
        return (await self.presence.user_status(asker, user_id)).presence


def names(online: UsersOnline) -> list[str]:
    """Who is in the list."""
    return [user.user_id for user in online.users]
