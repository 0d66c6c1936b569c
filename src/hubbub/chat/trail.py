"""A socket's trail: what recovery knows of it, in memory.

A token reads `SESSION.SECRET`, both random: so a secret that was replaced is told from a wild guess.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from hubbub.cluster.base import Connection, MessageNew
from hubbub.contract.values import now
from hubbub.store import records

_SESSION_BYTES: Final = 16
_SECRET_BYTES: Final = 24
_SUCCESSION: Final = secrets.token_bytes(32)


def hashed(secret: str) -> bytes:
    """A secret as it is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _session_id() -> str:
    return secrets.token_urlsafe(_SESSION_BYTES)


def _successor(session_id: str, spent_hash: bytes) -> str:
    """The secret after a spent one: the same each time, lest retries make each other's token void."""
    digest = hmac.digest(_SUCCESSION, session_id.encode() + spent_hash, "sha256")
    return base64.urlsafe_b64encode(digest[:_SECRET_BYTES]).decode()


class Keys(msgspec.Struct, frozen=True):
    """What a trail can be taken up by. `spent_hash` is that of the token which the newest one replaced."""

    token: str | None = None
    token_hash: bytes | None = None
    spent_hash: bytes | None = None


class Place(msgspec.Struct, frozen=True):
    """Which session a trail belongs to, since when, and how far its client has received: to be put back."""

    session_id: str
    connected_at: int
    positions: dict[str, int]
    keys: Keys
    pid: str | None
    saved_at: int
    taken_at: int


class Told(msgspec.Struct, frozen=True):
    """What a socket was told that its client is not known to have: chat and `seq` of each message, in order.
    `teller` names the node.
    """

    teller: str
    messages: list[tuple[str, int]]


class Trail:
    """What is known of one socket: its session in memory. `mark` is what the last heartbeat would confirm."""

    __slots__ = (
        "connected_at",
        "ended",
        "id",
        "keys",
        "last_activity",
        "mark",
        "mark_since",
        "pid",
        "positions",
        "renewing",
        "resent",
        "saved_at",
        "since",
        "socket_id",
        "taken_at",
        "user_id",
    )

    def __init__(self, who: Connection, *, offer_pid: bool) -> None:
        self.id = _session_id()
        self.user_id = who.user_id
        self.socket_id = who.socket_id
        self.connected_at = who.connected_at
        self.last_activity = who.connected_at
        self.ended = False

        # What brings it back: the recovery token once asked for, and Socket.IO's private id. While a new one
        # is not stored yet, a heartbeat answer says nothing about the token before.
        self.keys = Keys()
        self.renewing = False
        self.pid = secrets.token_urlsafe(_SECRET_BYTES) if offer_pid else None

        self.positions: dict[str, int] = {}
        self.mark: dict[str, int] | None = None
        self.saved_at = 0
        # What is stored of this session from before, or from elsewhere, is the less to count.
        self.taken_at = who.connected_at

        # In the order in which the node tells messages: behind how many of them it begins what the client is
        # not known to have, now and with the next heartbeat answer; and what was sent before those, from the
        # log. None: it cannot be told from that order.
        self.since: int | None = None
        self.mark_since: int | None = None
        self.resent: Sequence[tuple[str, int]] = ()

    def follow(self, since: int | None, resent: Iterable[MessageNew]) -> None:
        """From now on the socket is told what the node tells behind so many messages; it was sent others
        first.
        """
        self.since = since
        if since is not None:
            self.resent = [(one.message.chat_id, one.message.seq) for one in resent]

    def stray(self) -> None:
        """The socket was told something that the node's order does not have, or that is forgotten. The next
        heartbeat begins anew.
        """
        self.since = self.mark_since = None
        self.resent = ()

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(
            self.id, self.connected_at, self.positions, self.keys, self.pid, self.saved_at, self.taken_at
        )

    def move(self, place: Place) -> None:
        """Stand somewhere else."""
        self.id = place.session_id
        self.connected_at = place.connected_at
        self.positions = place.positions
        self.keys = place.keys
        self.pid = place.pid
        self.saved_at = place.saved_at
        self.taken_at = place.taken_at
        self.mark = None
        self.stray()

    def detach(self) -> Place:
        """Stand alone: nothing brings it back before it gets a token; return where it stood."""
        place = self.place
        self.move(Place(_session_id(), self.connected_at, self.positions, Keys(), None, 0, now()))
        return place

    def renew(self, spent_hash: bytes | None) -> str:
        """Make a new token; the one of `spent_hash` stays good until the client has the new one for sure."""
        secret = (
            secrets.token_urlsafe(_SECRET_BYTES) if spent_hash is None else _successor(self.id, spent_hash)
        )
        token = f"{self.id}.{secret}"
        self.keys = Keys(token, hashed(secret), spent_hash)
        return token

    @property
    def has_handed_over(self) -> bool:
        """Whether a heartbeat that goes out now tells that the client has a token in place of another one.

        Not while the new one is being stored, nor when it was handed out on a connection before this one.
        """
        return self.keys.token is not None and self.keys.spent_hash is not None and not self.renewing

    def confirm(self, mark: Mapping[str, int]) -> bool:
        """The client has received everything up to `mark`; True when that is news."""
        moved = bool(mark) and mark != self.positions
        for chat_id in self.positions.keys() & mark.keys():
            self.positions[chat_id] = max(mark[chat_id], self.positions[chat_id])
        return moved

    def record(self, ttl: int, told: Told | None = None) -> records.RecoverySession:
        """The session as it is stored now, for `ttl` milliseconds after the last activity.

        Until a heartbeat answer tells that the client has what a token brought back, Socket.IO's own recovery
        cannot take it up: the offset that it goes by may lie behind messages of that queue.
        """
        self.saved_at = now()
        pid = self.pid if self.keys.spent_hash is None else None
        last_told = records.LastTold.of(told.teller, told.messages) if told and pid else None
        return records.RecoverySession(
            id=self.id,
            user_id=self.user_id,
            socket_id=self.socket_id,
            token_hash=self.keys.token_hash,
            spent_hash=self.keys.spent_hash,
            pid_hash=None if pid is None else hashed(pid),
            positions=dict(self.positions),
            connected_at=self.connected_at,
            last_activity=self.last_activity,
            expires_at=self.last_activity + ttl,
            last_told=last_told,
            taken_at=self.taken_at,
        )
