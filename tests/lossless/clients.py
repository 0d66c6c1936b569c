"""Clients that want every message of their chats, and the one way they all go about it.

    connect -> back in the rooms (join, recover, or Socket.IO's own recovery) -> history where something was
    left out -> `up`, until the connection is lost, and again

What they are told goes into the history entry by entry; `Have` is what a client itself knows to have. How a
client comes back is its `way`.
"""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Final

import aiohttp

from tests.harness.clients import Json
from tests.harness.rest import Rest
from tests.harness.users import User
from tests.lossless.history import (
    Closed,
    Delivered,
    Entered,
    History,
    Left,
    Opened,
    Paged,
    Recovered,
    RecoveryRefused,
    Seen,
    TokenMade,
    brief,
)
from tests.lossless.links import LinkLost
from tests.lossless.sockets import Answered

PAGE: Final = 200
PATIENCE: Final = 4.0
"""Seconds that a request for a room may take before the client tries a new connection."""


TRIES: Final = 20
RETRY: Final = 0.2


class Way(Enum):
    """How a client comes back into its rooms."""

    JOIN = "join and history"
    TOKEN = "connection:recover"
    CLAIM = "connection:recover with lastSeq"
    STATE = "state recovery"


def seen(message: Json) -> Seen:
    """A message as the history has it."""
    return Seen(
        message["chatId"],
        message["seq"],
        message["id"],
        message["userId"],
        message["clientMessageId"],
        brief(message["content"]),
    )


def label(token: str) -> str:
    """A token's stand-in in the history."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


class NotIn(Exception):
    """A room that cannot be entered: the user is no member now."""


@dataclass(slots=True)
class Have:
    """What a client has of a chat: everything up to `upto`, and single messages beyond."""

    upto: int
    beyond: set[int] = field(default_factory=set)

    def add(self, seq: int) -> None:
        """Count a message in."""
        if seq > self.upto:
            self.beyond.add(seq)
        while self.upto + 1 in self.beyond:
            self.upto += 1
            self.beyond.discard(self.upto)


@dataclass(frozen=True, slots=True)
class Role:
    """Who a client is, and how it behaves. `transport` is told in the history."""

    name: str
    user: User
    way: Way
    transport: str
    chats: list[str]


@dataclass(frozen=True, slots=True)
class Desk:
    """What all clients of a run share: the history, and the HTTP API beside the proxies."""

    history: History
    rest: Rest


class Session(ABC):
    """One client through all its connections."""

    def __init__(self, desk: Desk, role: Role, url: str) -> None:
        self.desk = desk
        self.role = role
        self.url = url
        self.up = asyncio.Event()
        self.connection = 0
        self.have: dict[str, Have] = {}
        self.rooms: set[str] = set()
        # What this connection was told of each chat, now and at each of the latest heartbeats.
        self.line: dict[str, int] = {}
        self.marks: list[dict[str, int]] = []
        # The latest of them that the server must know of.
        self.sure: dict[str, int] | None = None
        self.token: str | None = None
        # Rooms of which something was left out that this client has not read by history yet.
        self._unread: set[str] = set()
        self._epoch: str | None = None
        # Told live of a room while its join is not answered yet.
        self._early: list[Json] = []
        self._entering: set[str] = set()

    # For subclasses.

    @abstractmethod
    async def run(self) -> None:
        """Be a client until cancelled."""

    @abstractmethod
    async def request(
        self, event: str, payload: Json, timeout: float, answered: Answered | None = None
    ) -> Json:
        """A request on the connection there is now; `answered` is called with the answer before anything
        that came behind it is looked at. Raises LinkLost, TimeoutError.
        """

    def opened(self, *, continued: bool = False, by_offset: bool = False) -> None:
        """A new connection was welcomed."""
        self.connection = self.desk.history.next_connection()
        name, user, transport = self.role.name, self.role.user.id, self.role.transport
        self.desk.history.add(Opened(name, self.connection, user, transport, continued, by_offset))
        self._early.clear()
        self._entering.clear()
        self.marks.clear()
        self.sure = None
        if not continued:
            self.rooms.clear()
            self.line.clear()

    def closed(self, why: str) -> None:
        """The connection is over."""
        self.up.clear()
        self.desk.history.add(Closed(self.connection, why))

    def told(self, name: str, payload: Any) -> None:
        """An event came."""
        if name == "message:new":
            if payload["chatId"] in self._entering:
                self._early.append(payload)
            elif payload["chatId"] in self.rooms or self.up.is_set():
                self._take(payload)
            # Else the answer to the join was lost with the connection before.
        elif name == "room:left":
            self._leave(payload["chatId"])

    def _take(self, message: Json) -> None:
        one = seen(message)
        self.desk.history.add(Delivered(self.connection, one))
        self.line[one.chat] = one.seq
        self._count(one)

    def _count(self, message: Seen) -> None:
        if message.chat in self.have:
            self.have[message.chat].add(message.seq)

    def _leave(self, chat: str) -> None:
        self.rooms.discard(chat)
        self.have.pop(chat, None)
        self.line.pop(chat, None)
        self.desk.history.add(Left(self.connection, chat))

    # Coming back.

    async def arrive(self, *, continued: bool) -> None:
        """Get into all rooms and have everything. Raises LinkLost, TimeoutError."""
        if continued:
            await self._look_around()
            await self._catch_up()
        elif self.token is not None:
            await self._recover()
        if self.token is None and self.role.way in (Way.TOKEN, Way.CLAIM):
            await self._make_session()
        await self.enter_rooms()
        self.up.set()

    async def enter_rooms(self) -> None:
        """Enter the rooms that this client is not in, as far as it may."""
        for chat in self.role.chats:
            if chat not in self.rooms:
                with suppress(NotIn):
                    await self.enter(chat)

    async def _look_around(self) -> None:
        """See which rooms are left: Socket.IO's own recovery says nothing of those that are not."""
        answer = await self.request("connection:session-info", {}, PATIENCE)
        if not answer["success"]:
            raise LinkLost(answer["code"])
        for chat in self.rooms - set(answer["sessionInfo"]["rooms"]):
            self._leave(chat)

    async def _make_session(self) -> None:
        answer = await self.request("connection:create-session", {}, PATIENCE)
        if answer["success"]:
            self.token = answer["recoveryToken"]
            self.desk.history.add(TokenMade(self.connection, label(self.token or "")))

    async def enter(self, chat: str) -> None:
        """Join a chat, then read what it has behind what this client has. Raises NotIn, LinkLost."""
        self._entering.add(chat)
        try:
            answer = await self.request("join:chat", {"chatId": chat}, PATIENCE, partial(self._entered, chat))
        finally:
            self._entering.discard(chat)
        if not answer["success"]:
            raise NotIn if answer["code"] == "NOT_FOUND" else LinkLost(answer["code"])
        if chat in self.have:
            # Should it be cut off in the middle, it goes on after whatever comes next.
            self._unread.add(chat)
            await self._read(chat, self.have[chat], answer["roomInfo"]["lastSeq"])
            self._unread.discard(chat)

    def _entered(self, chat: str, answer: Json) -> None:
        """Note the answer to a join; messages behind `lastSeq` may have come before it.

        So may others, when it was in the room already without knowing: they are in the history as well.
        """
        self._entering.discard(chat)
        early, self._early = self._early, []
        if not answer["success"]:
            return
        info = answer["roomInfo"]
        if self._epoch not in (None, info["epoch"]):
            # What this client has is of another history.
            self.have.clear()
        self._epoch = info["epoch"]
        self.desk.history.add(Entered(self.connection, chat, info["lastSeq"], info["epoch"]))
        self.rooms.add(chat)
        self.line.setdefault(chat, info["lastSeq"])
        self.have.setdefault(chat, Have(info["lastSeq"]))
        for message in early:
            if message["seq"] > info["lastSeq"]:
                self._take(message)

    async def _read(self, chat: str, have: Have, upto: int | None) -> None:
        """Read history behind what there is, up to a number or to the end."""
        while upto is None or have.upto < upto:
            after = have.upto
            query = f"?limit={PAGE}&after={after}" + ("" if upto is None else f"&before={upto + 1}")
            try:
                page = await self.desk.rest.history(self.role.user, chat, query)
            except (aiohttp.ClientError, OSError, TimeoutError, AssertionError) as error:
                raise LinkLost(f"no history: {error}") from None
            messages = [seen(message) for message in page]
            self.desk.history.add(Paged(self.role.name, chat, after, messages))
            for message in messages:
                have.add(message.seq)
            if len(page) < PAGE:
                return

    async def _recover(self) -> None:
        payload: Json = {"recoveryToken": self.token}
        if self.role.way is Way.CLAIM:
            payload["lastSeq"] = {chat: have.upto for chat, have in self.have.items()}
            payload["epoch"] = self._epoch
        for _ in range(TRIES):
            answer = await self.request(
                "connection:recover", payload, PATIENCE, partial(self.recovered, payload)
            )
            if answer["success"] or answer["code"] == "NOT_FOUND":
                break
            await asyncio.sleep(RETRY)
        else:
            raise LinkLost("no recovery")
        await self._catch_up()

    async def _catch_up(self) -> None:
        """Read what is still to be read of the rooms that this client is in."""
        for chat in sorted(self._unread & self.rooms):
            await self._read(chat, self.have[chat], None)
            self._unread.discard(chat)

    def recovered(self, payload: Json, answer: Json) -> None:
        """Note the answer to a recovery."""
        used = label(payload["recoveryToken"])
        if not answer["success"]:
            self.desk.history.add(RecoveryRefused(self.connection, used, answer["code"]))
            if answer["code"] == "NOT_FOUND":
                self.token = None
                self.have.clear()
            return
        session = answer["session"]
        queue = [seen(message) for message in session["messageQueue"]]
        self.token = session["recoveryToken"]
        self.desk.history.add(
            Recovered(
                self.connection,
                used,
                label(self.token or ""),
                payload.get("lastSeq"),
                payload.get("epoch"),
                session["rooms"],
                queue,
                answer["reset"],
                answer["truncated"],
            )
        )
        self._settle_rooms(set(session["rooms"]), answer["reset"])
        self._unread |= self.rooms if answer["truncated"] else set(answer["reset"])
        self.marks.clear()
        self.sure = None
        for message in queue:
            self._count(message)
            self.line[message.chat] = message.seq

    def _settle_rooms(self, rooms: set[str], reset: list[str]) -> None:
        self.rooms |= rooms
        for chat in set(self.have) - rooms:
            del self.have[chat]
        for chat in reset:
            self.have[chat] = Have(0)
