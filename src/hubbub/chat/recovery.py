"""Recovery: what a socket leaves behind, so that its successor misses nothing (docs/life-of-a-message.md).

    join, leave, heartbeat answer -> Trail (in memory, one a socket) -> store
    recovery token, or Socket.IO's pid -> the stored session -> membership checked anew -> missed messages by
    the log

A `Trail` maps each joined chat to the `seq` up to which the client is known to have received. A message
counts as received when a heartbeat answer came after it on the same connection, or when the client says so;
never because it was written to a socket. A token reads `SESSION.SECRET`, both random: so a secret that was
replaced is told from a wild guess, and using it again ends the session.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec

from hubbub.chat import access, wire
from hubbub.cluster.base import Connection, MessageNew
from hubbub.contract import answers, errors, events, objects
from hubbub.contract.values import MAX_QUEUE, iso, now
from hubbub.store import records
from hubbub.store.base import Store

_SESSION_BYTES: Final = 16
_SECRET_BYTES: Final = 24
_SAVE_EVERY_MS: Final = 3_600_000
_REPLAY_LIMIT: Final = 5000
_QUEUE_CHARACTERS: Final = 500_000


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Trail:
    """What is known of one socket: its session in memory. `mark` is what the last heartbeat would confirm."""

    __slots__ = (
        "connected_at",
        "id",
        "last_activity",
        "mark",
        "pid",
        "positions",
        "saved_at",
        "socket_id",
        "spent_hash",
        "token",
        "token_hash",
        "user_id",
    )

    def __init__(self, session_id: str, who: Connection, pid: str | None) -> None:
        self.id = session_id
        self.user_id = who.user_id
        self.socket_id = who.socket_id
        self.connected_at = who.connected_at
        self.last_activity = who.connected_at

        # What brings it back: the recovery token once asked for (and its hash, which outlives a restart), the
        # hash of the one it replaced, Socket.IO's private id.
        self.token: str | None = None
        self.token_hash: bytes | None = None
        self.spent_hash: bytes | None = None
        self.pid = pid

        self.positions: dict[str, int] = {}
        self.mark: dict[str, int] | None = None
        self.saved_at = 0


class Resumed(msgspec.Struct, frozen=True):
    """A stored session that its owner takes up: the chats still open to the user, and what to reload by
    history.
    """

    session: records.RecoverySession
    views: list[records.ChatView]
    positions: dict[str, int]
    reset: list[str]


class Missed(msgspec.Struct, frozen=True):
    """What a client missed, oldest first. `truncated`: there is more, to be read by history."""

    messages: list[MessageNew]
    truncated: bool


class Recovery:
    """Makes, keeps, and takes up recovery sessions. `ttl` and `window` (for Socket.IO's own recovery) in
    seconds.
    """

    def __init__(self, store: Store, *, ttl: float, window: float) -> None:
        self._store = store
        self._ttl = int(ttl * 1000)
        self._window = int(window * 1000)
        self._started_at = now()
        # The open trail of each session: when a session moves to another socket the old one must not save any
        # more.
        self._open: dict[str, Trail] = {}

    # A socket's life.

    def begin(self, who: Connection, *, offer_pid: bool) -> Trail:
        """Begin a socket's trail. With `offer_pid` Socket.IO's own recovery can continue it."""
        pid = secrets.token_urlsafe(_SECRET_BYTES) if offer_pid and self._window else None
        trail = Trail(secrets.token_urlsafe(_SESSION_BYTES), who, pid)
        self._open[trail.id] = trail
        return trail

    async def joined(self, trail: Trail, chat_id: str, seq: int) -> None:
        """The socket gets everything of the chat behind `seq` from now on."""
        trail.positions[chat_id] = seq
        trail.mark = None
        await self._save(trail)

    def drop(self, trail: Trail, chat_id: str) -> bool:
        """Owe the client nothing more of a chat; False when that was so before."""
        if trail.mark is not None:
            trail.mark.pop(chat_id, None)
        return trail.positions.pop(chat_id, None) is not None

    async def left(self, trail: Trail, chat_id: str) -> None:
        """The socket left the chat's room."""
        if self.drop(trail, chat_id):
            await self._save(trail)

    def ping_sent(self, trail: Trail, live: Mapping[str, int]) -> None:
        """A heartbeat goes out behind everything up to `live`, the newest `seq` told in each chat."""
        trail.mark = dict(live)

    def pong(self, trail: Trail) -> None:
        """It was answered: the client has received all that. The token it came with is of no more use."""
        trail.last_activity = time = now()
        mark, trail.mark = trail.mark, None
        moved = bool(mark) and mark != trail.positions
        if mark:
            for chat_id in trail.positions.keys() & mark.keys():
                trail.positions[chat_id] = max(mark[chat_id], trail.positions[chat_id])
        if moved or trail.spent_hash is not None or time - trail.saved_at > _SAVE_EVERY_MS:
            trail.spent_hash = None
            self._save_soon(trail)

    def abandon(self, trail: Trail) -> None:
        """Forget a trail, unless another socket continues its session by now."""
        if self._open.get(trail.id) is trail:
            del self._open[trail.id]

    async def end(self, trail: Trail) -> None:
        """The socket is gone; its session waits for a successor."""
        if self._open.get(trail.id) is trail:
            trail.last_activity = now()
            await self._save(trail)
            self.abandon(trail)

    # Tokens.

    async def create(self, trail: Trail) -> events.RecoveryToken:
        """Return the socket's recovery token, made the first time."""
        if trail.token is None:
            trail.spent_hash = trail.token_hash
            _renew(trail)
            await self._save(trail)
        return self._token_event(trail)

    def _token_event(self, trail: Trail) -> events.RecoveryToken:
        return events.RecoveryToken(token=trail.token or "", expires_at=iso(trail.last_activity + self._ttl))

    async def find(self, who: Connection, token: str) -> tuple[records.RecoverySession, bytes]:
        """Return the session that a token belongs to, and the token's hash.

        Wrong, foreign and expired tokens are refused alike.

        A token that was replaced, and whose replacement has been confirmed, ends the session: only a thief
        would use it.
        """
        session_id, _, secret = token.partition(".")
        session = await self._store.session(session_id, now())
        if session is None or session.user_id != who.user_id or session.token_hash is None:
            raise errors.invalid_recovery_token()
        digest = _hash(secret)
        good = [one for one in (session.token_hash, session.spent_hash) if one is not None]
        if not any(hmac.compare_digest(digest, one) for one in good):
            self._open.pop(session_id, None)
            await self._store.delete_session(session_id)
            raise errors.invalid_recovery_token()
        return session, digest

    async def find_pid(self, who: Connection, pid: str) -> records.RecoverySession | None:
        """Return the session that Socket.IO's private id belongs to, if it is this user's and recent enough.

        Sessions that were open when the server died count from its start.
        """
        time = now()
        session = await self._store.session_by_pid(_hash(pid), time)
        if session is None or session.user_id != who.user_id:
            return None
        since = max(session.last_activity, self._started_at)
        is_open = session.id in self._open
        return session if is_open or time - since <= self._window else None

    # Taking up.

    async def resume(
        self, session: records.RecoverySession, last_seq: Mapping[str, int], epoch: str | None
    ) -> Resumed:
        """Check membership anew, and find where each chat goes on. `last_seq` is the client's own word."""
        same_history = epoch is None or epoch == await self._store.epoch()
        views: list[records.ChatView] = []
        positions: dict[str, int] = {}
        reset: list[str] = []
        for chat_id, known in session.positions.items():
            view = await access.find_membership(self._store, chat_id, session.user_id)
            if view is None:
                continue
            views.append(view)
            claimed = last_seq.get(chat_id, known)
            # A number from the future belongs to another history.
            if not same_history or claimed > view.chat.last_seq:
                reset.append(chat_id)
                claimed = view.chat.last_seq
            positions[chat_id] = claimed
        return Resumed(session, views, positions, reset)

    async def missed(self, after: Mapping[str, int], upto: Mapping[str, int]) -> Missed:
        """Return what lies behind `after` up to `upto` in each chat, oldest first, as much as a queue may
        hold.
        """
        found: list[records.Message] = []
        for chat_id, seq in after.items():
            before = upto[chat_id] + 1
            if seq + 1 < before:
                found += await self._store.read(chat_id, after=seq, before=before, limit=MAX_QUEUE + 1)
        found.sort(key=lambda message: message.position)
        kept = _fitting(found)
        told = [MessageNew(message=wire.message(one), position=one.position) for one in kept]
        return Missed(told, truncated=len(kept) < len(found))

    async def replay(
        self, after: Mapping[str, int], upto: Mapping[str, int], offset: int | None
    ) -> list[MessageNew] | None:
        """Return what Socket.IO's own recovery owes behind the client's `offset`, in the order of all chats.

        None when it is more than can be sent at once: then the client begins anew.
        """
        found: list[records.Message] = []
        if offset is not None:
            found = await self._store.read_positions(list(after), offset, _REPLAY_LIMIT + 1)
        else:
            for chat_id, seq in after.items():
                limit = _REPLAY_LIMIT + 1 - len(found)
                found += await self._store.read(chat_id, after=seq, before=upto[chat_id] + 1, limit=limit)
        owed = [one for one in found if after[one.chat_id] < one.seq <= upto[one.chat_id]]
        owed.sort(key=lambda message: message.position)
        if len(found) > _REPLAY_LIMIT or len(_fitting(owed, most=_REPLAY_LIMIT)) < len(owed):
            return None
        return [MessageNew(message=wire.message(one), position=one.position) for one in owed]

    async def take_over(self, trail: Trail, resumed: Resumed, used: bytes | None) -> None:
        """Let a socket's trail continue a stored session; under a new token if one was `used` for it.

        That one stays good until the client has answered a heartbeat, so that a lost answer can be retried
        as often as it takes.
        """
        session = resumed.session
        own = trail.id
        if self._open.pop(own, None) is trail and trail.saved_at and own != session.id:
            await self._store.delete_session(own)
        trail.id = session.id
        trail.connected_at = session.connected_at
        trail.positions = {**trail.positions, **resumed.positions}
        trail.mark = None
        trail.token, trail.token_hash, trail.spent_hash = None, session.token_hash, session.spent_hash
        self._open[trail.id] = trail
        if used is not None:
            _renew(trail)
            trail.spent_hash = used

    async def recovered(
        self, trail: Trail, resumed: Resumed, missed: Missed
    ) -> tuple[answers.Recovered, list[events.Event]]:
        """Store the session under its new token, and return the answer and what else the socket is told."""
        await self._save(trail)
        queue = [one.message for one in missed.messages]
        session = self._facts(trail, sorted(resumed.positions), queue)
        answer = answers.Recovered(session=session, reset=resumed.reset, truncated=missed.truncated)
        told: list[events.Event] = [
            self._token_event(trail),
            events.Recovered(rooms=session.rooms, queued_messages=len(queue)),
        ]
        if queue:
            told.append(events.QueuedMessages(messages=queue, count=len(queue), truncated=missed.truncated))
        return answer, told

    # Facts and figures.

    def info(self, trail: Trail) -> answers.SessionInfo:
        """Return a socket's facts."""
        return answers.SessionInfo(session_info=self._facts(trail, sorted(trail.positions), []))

    def _facts(self, trail: Trail, rooms: list[str], queue: list[objects.Message]) -> objects.Session:
        return objects.Session(
            user_id=trail.user_id,
            socket_id=trail.socket_id,
            connected_at=iso(trail.connected_at),
            last_activity=iso(trail.last_activity),
            rooms=rooms,
            message_queue=queue,
            recovery_token=trail.token,
        )

    async def stats(self, queued: int) -> answers.ConnectionStats:
        """Return figures over all sessions; `queued` messages are being handed over now."""
        totals = await self._store.session_totals(now())
        minutes = totals.total_age / totals.sessions / 60_000 if totals.sessions else 0.0
        return answers.ConnectionStats(
            stats=objects.ConnectionStats(
                active_sessions=totals.sessions,
                recovery_tokens=totals.tokens,
                queued_messages=queued,
                average_session_age=round(minutes, 2),
            )
        )

    # Saving.

    async def _save(self, trail: Trail) -> None:
        if self._is_kept(trail):
            await self._store.save_session(self._record(trail))

    def _save_soon(self, trail: Trail) -> None:
        if self._is_kept(trail):
            # Nobody waits: what a failure loses is a position, and the messages behind it are then repeated.
            self._store.save_session(self._record(trail)).add_done_callback(lambda done: done.exception())

    def _is_kept(self, trail: Trail) -> bool:
        return self._open.get(trail.id) is trail and (trail.token_hash is not None or trail.pid is not None)

    def _record(self, trail: Trail) -> records.RecoverySession:
        trail.saved_at = now()
        return records.RecoverySession(
            id=trail.id,
            user_id=trail.user_id,
            socket_id=trail.socket_id,
            token_hash=trail.token_hash,
            spent_hash=trail.spent_hash,
            pid_hash=None if trail.pid is None else _hash(trail.pid),
            positions=dict(trail.positions),
            connected_at=trail.connected_at,
            last_activity=trail.last_activity,
            expires_at=trail.last_activity + self._ttl,
        )


def _renew(trail: Trail) -> None:
    """Give a trail a new token."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    trail.token_hash = _hash(secret)
    trail.token = f"{trail.id}.{secret}"


def _fitting(messages: list[records.Message], most: int = MAX_QUEUE) -> list[records.Message]:
    """Cut a list of messages at `most`, and where their text gets too long to be sent at once."""
    room = _QUEUE_CHARACTERS
    for index, message in enumerate(messages):
        room -= len(message.content)
        if index == most or room < 0:
            return messages[:index]
    return messages
