"""Announcements: `user:online` and `user:offline`, told to everybody.

    quiet: told at once -> a moment in which the next ones gather -> told together: one write for each socket

In a storm of arrivals everybody is told of everybody, so the writes would grow with the square of the users.
Whatever else is told about a user, or by one, is told after that user's presence.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from hubbub.cluster.base import MessageNew, Telling, ToRoom, ToUsers
from hubbub.contract import events
from hubbub.gateway.clients import NAMESPACE
from hubbub.socketio import Outgoing, Server, Socket

MOMENT: Final = 0.1
"""Seconds that an announcement waits at most, for others to leave with it."""

_ABOUT_USERS: Final = (
    events.Membership,
    events.Receipt,
    events.UserPresence,
    events.UserStatusChanged,
    events.UserTyping,
)


class Announcements:
    """Presence on its way to everybody on this node."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._moment: asyncio.TimerHandle | None = None
        # Users whose presence waits.
        self.waiting: set[str] = set()

    def tell(self, user_id: str, packet: Outgoing, skip: Collection[Socket]) -> None:
        """Tell everybody who is connected now, but `skip`."""
        self._server.broadcast_later(NAMESPACE, packet, skip)
        self.waiting.add(user_id)
        if self._moment is None:
            self._release()

    def precede(self, telling: Telling) -> None:
        """Tell what waits, if it is about the user whom `telling` is about."""
        if _subject(telling) in self.waiting:
            self._release()

    def close(self) -> None:
        """Tell what waits."""
        if self._moment is not None:
            self._moment.cancel()
            self._moment = None
        if self.waiting:
            self._server.release(NAMESPACE)
            self.waiting.clear()

    def _release(self) -> None:
        self.close()
        self._moment = asyncio.get_running_loop().call_later(MOMENT, self._over)

    def _over(self) -> None:
        self._moment = None
        if self.waiting:
            self._release()


def _subject(telling: Telling) -> str | None:
    """The user who did what is told."""
    if isinstance(telling, MessageNew):
        return telling.message.user_id
    event = telling.event if isinstance(telling, ToRoom | ToUsers) else None
    # Presence is told to users when it has become too much for everybody, which it was not a moment ago.
    return event.user_id if isinstance(event, _ABOUT_USERS) else None
