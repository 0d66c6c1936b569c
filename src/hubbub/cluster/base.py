"""The ports of what nodes share and do not keep, and what every implementation guarantees.

The log is the truth; what is here are hints. The bus may lose, repeat and reorder between nodes; within one
node, what is published is delivered in the order of publishing, before `publish` returns or in the same
turn of the loop. The registry forgets a node's connections when the node dies.

Nothing here raises because the others cannot be reached, and nothing waits for them longer than about a
second: the registry then answers from what this node knows by itself, and the limiter, after some 30 ms,
counts for itself.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Protocol, TypeAlias

import msgspec

from hubbub.cluster.reports import Question, Report
from hubbub.contract import events, objects


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A connected socket and the user behind it: who acts. `connected_at` is in Unix milliseconds."""

    socket_id: str
    user_id: str
    username: str
    email: str | None
    role: str
    address: str
    user_agent: str
    connected_at: int

    @property
    def is_admin(self) -> bool:
        """Whether the user may see what concerns everybody."""
        return self.role == "admin"


class MessageNew(msgspec.Struct, frozen=True, kw_only=True):
    """A committed message, for all in its chat's room. `position` is its place in the order of all chats."""

    message: objects.Message
    position: int


class ToRoom(msgspec.Struct, frozen=True, kw_only=True):
    """An event for all sockets in a chat's room but one."""

    chat_id: str
    event: events.Event
    skip_socket: str | None = None
    skip_user: str | None = None


class ToUsers(msgspec.Struct, frozen=True, kw_only=True):
    """An event for all sockets of some users; within a chat's room when `chat_id` is given."""

    user_ids: frozenset[str]
    event: events.Event
    chat_id: str | None = None


class ToEveryone(msgspec.Struct, frozen=True, kw_only=True):
    """An event for all sockets but those of one user."""

    event: events.Event
    skip_user: str | None = None


class Expel(msgspec.Struct, frozen=True, kw_only=True):
    """A membership has ended: the user's sockets leave the chat's room."""

    chat_id: str
    user_id: str


class CutOff(msgspec.Struct, frozen=True, kw_only=True):
    """A user was switched off: all sockets of the user are disconnected."""

    user_id: str


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """Said by the bus to its own node alone: tellings about these chats, or about anything, may be lost."""

    chat_ids: frozenset[str] | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A node asks others, by their names; `number` sets its questions apart. For `Nodes` alone."""

    number: int
    asker: str
    names: frozenset[str]
    question: Question


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question, heard by its asker only. For `Nodes` alone."""

    number: int
    asker: str
    report: Report


Telling: TypeAlias = MessageNew | ToRoom | ToUsers | ToEveryone | Expel | CutOff | Missed | Asked | Reported


class Bus(Protocol):
    """Tells every node, this one included, what has happened.

    What is told to a chat's room is heard from other nodes only while the chat is watched.
    """

    def publish(self, telling: Telling) -> None:
        """Tell all subscribers. Never blocks and never raises."""

    def subscribe(self, deliver: Callable[[Telling], None]) -> None:
        """Have `deliver` called for everything told from now on; it must not block or raise."""

    def watch(self, chat_id: str) -> "Future[None]":
        """Begin to hear what other nodes tell a chat's room.

        The future is done, and never fails, once everything told from then on is heard. Where that cannot be
        had in time it is done all the same, and `Missed` is told later. Watching is not counted.
        """

    def unwatch(self, chat_id: str) -> None:
        """Hear no more of a chat's room."""


class PresentUser(msgspec.Struct, frozen=True, kw_only=True):
    """A present user: connected, or gone only just now.

    `connected_at` is that of the first socket still there, `newest` the latest socket; after the last one has
    gone both stay as they were.
    """

    user_id: str
    username: str
    email: str | None
    status: str
    last_seen: int
    connected_at: int
    newest: Connection


class StatusCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Present users by status."""

    online: int
    away: int
    busy: int


class Occupancy(msgspec.Struct, frozen=True, kw_only=True):
    """A room after somebody came or went.

    `online` counts distinct users, `devices` the sockets of the user concerned; `changed` tells whether the
    socket really came or went.
    """

    online: int
    devices: int
    changed: bool


class TypingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is typing since `started_at` (Unix milliseconds)."""

    user_id: str
    username: str
    chat_id: str
    started_at: int


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """A user whose last socket has gone; `number` is for `forget`."""

    user_id: str
    number: int


class Vacancy(msgspec.Struct, frozen=True, kw_only=True):
    """A user's sockets on a dead node have left a room; `occupancy` is what it was after that."""

    chat_id: str
    user_id: str
    username: str
    occupancy: Occupancy


class Reaped(msgspec.Struct, frozen=True, kw_only=True):
    """What other nodes left behind, for the caller alone to tell.

    `departures` are to be forgotten after the grace time, `returned` are present again though they were told
    as gone, `typing` has ended, `restored` are rooms whose users are back after they were thought gone.
    """

    departures: list[Departure] = []
    vacancies: list[Vacancy] = []
    typing: list[TypingEntry] = []
    returned: list[PresentUser] = []
    restored: frozenset[str] = frozenset()


class Registry(Protocol):
    """Who is connected, who is in which room, who is typing: over all nodes.

    A user becomes present with the first socket and stays so until `forget` is called after the last one
    has gone, so that a short absence need not be told. Lists are ordered by user id and page by it: `after`
    is the last id of the page before, "" for the first page. Counts are O(1).
    """

    async def connect(self, connection: Connection) -> bool:
        """Add a socket; True when its user was not present. Socket ids are unique among those connected."""

    async def disconnect(self, connection: Connection) -> int | None:
        """Remove a socket, from its rooms too.

        Returns the number of this departure, for `forget`, when it was its user's last socket; otherwise,
        and for a socket that is not there, None.
        """

    async def forget(self, user_id: str, departure: int) -> PresentUser | None:
        """End a user's presence, if the user has not come back since that departure.

        Returns the user as last present, to one caller only; None when there is nothing to end.
        """

    def touch(self, user_id: str, now: int) -> None:
        """Note that a user has just done something (`last_seen`). A hint: other nodes may learn it later."""

    async def set_status(self, user_id: str, status: str) -> str | None:
        """Set a present user's status; return the one before, or None when the user is not present."""

    async def user(self, user_id: str) -> PresentUser | None:
        """Return a present user."""

    async def users(self, after: str, limit: int) -> list[PresentUser]:
        """Return present users."""

    async def users_among(self, user_ids: AbstractSet[str], limit: int) -> tuple[list[PresentUser], int]:
        """Return the first `limit` present users of a set, and how many of the set are present in all."""

    async def count_users(self) -> int:
        """Return the number of present users."""

    async def status_counts(self) -> StatusCounts:
        """Return the number of present users by status."""

    async def enter(self, chat_id: str, connection: Connection) -> Occupancy:
        """Put a socket into a room. One that is not connected (any more) is left out: `changed` is False."""

    async def leave(self, chat_id: str, connection: Connection) -> Occupancy:
        """Take a socket out of a room."""

    async def room_users(self, chat_id: str, after: str, limit: int) -> list[PresentUser]:
        """Return the users in a room."""

    async def room_count(self, chat_id: str) -> int:
        """Return the number of distinct users in a room."""

    def look_up_room_count(self, chat_id: str) -> None:
        """Have the same number known soon, if it is not, for one who cannot wait for it."""

    def known_room_count(self, chat_id: str) -> int:
        """Return the number as this node knows it now: others may have come and gone since."""

    async def start_typing(self, entry: TypingEntry) -> bool:
        """Note that a user is typing; True when the user was not typing in that chat before."""

    async def stop_typing(self, chat_id: str, user_id: str) -> bool:
        """Note that a user has stopped; True when the user was typing in that chat."""

    async def typing(self, chat_id: str) -> list[TypingEntry]:
        """Return who is typing in a chat, the longest first."""

    def may_be_typing(self, chat_id: str, user_id: str) -> bool:
        """Whether a user is typing in a chat; True as well when that cannot be known without waiting."""

    async def count_typing(self) -> int:
        """Return the number of distinct users typing, over all chats."""

    async def reap(self, grace: float) -> Reaped:
        """Clear away what dead nodes left, each thing once over all nodes.

        A user who has been without sockets much longer than `grace` seconds while nobody called `forget`
        has departed too. Must be called every second or so by every node.
        """


class Limiter(Protocol):
    """Counts what users and addresses do, over all nodes."""

    async def hit(self, key: str, limit: int, window: float, block: float = 0.0) -> int | None:
        """Count one attempt: at most `limit` in any `window` seconds succeed, exactly the first ones.

        An attempt made exactly `window` seconds after another is no longer in one window with it. Returns
        None when this one may go on, otherwise the whole seconds (at least 1) after which one will. A
        refused attempt does not count, but the first refused one starts a block of `block` seconds, when
        given, during which all are refused. A key keeps its `limit`, `window` and `block` from one attempt
        to the next.
        """


class Nodes(Protocol):
    """The nodes that are this server, and what each of the others reports of itself when it is asked."""

    @property
    def name(self) -> str:
        """This node's name."""

    async def names(self) -> list[str]:
        """Return the names of the nodes that are alive, this one's among them, in order."""

    async def ask(self, question: Question, names: AbstractSet[str]) -> list[Report]:
        """Return what other nodes report; those that do not within about a second are left out."""

    def answer_with(self, report: Callable[[Question], Awaitable[Report]]) -> None:
        """Have the questions of others answered; to be called once. Reports are to be quick: see `ask`."""
