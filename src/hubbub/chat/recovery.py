"""Recovery: what a socket leaves behind, so that its successor misses nothing (docs/life-of-a-message.md).

    join, leave, heartbeat answer -> Trail (in memory, one a socket) -> store
    recovery token, or Socket.IO's pid -> the stored session -> membership checked anew -> missed messages by
    the log

A `Trail` maps each joined chat to the `seq` up to which the client is known to have received. A message
counts as received when a heartbeat answer came after it on the same connection, or when the client says so;
never because it was written to a socket. A session belongs to one socket: one that it is taken from has
none until it asks for a token. A token that was replaced ends the session when it is used again.
"""

import hmac
from collections.abc import Callable, Container, Mapping
from typing import Final

import msgspec

from hubbub.chat import access
from hubbub.chat.backlog import Backlog, Missed
from hubbub.chat.trail import Keys, Place, Told, Trail, hashed
from hubbub.cluster.base import Connection
from hubbub.contract import answers, errors, events, objects
from hubbub.contract.values import iso, now
from hubbub.store import records
from hubbub.store.base import Store, StoreError

_SAVE_EVERY_MS: Final = 3_600_000


class Found(msgspec.Struct, frozen=True):
    """A stored session, and the hash of the token that it was found by."""

    session: records.RecoverySession
    used: bytes


class Resumed(msgspec.Struct, frozen=True):
    """A stored session that its owner takes up: the chats still open to the user, and what to reload by
    history.
    """

    session: records.RecoverySession
    positions: dict[str, int]
    reset: list[str]


class Displaced(msgspec.Struct, frozen=True):
    """A socket's trail that a session was taken from, and where it stood."""

    trail: Trail
    place: Place

    @property
    def is_idle(self) -> bool:
        """Whether it has not begun anything else since, and could go on."""
        return self.trail.keys.token_hash is None and not self.trail.ended


class Recovery:
    """Makes, keeps, and takes up recovery sessions. `ttl` and `window` (for Socket.IO's own recovery) in
    seconds.
    """

    def __init__(self, store: Store, backlog: Backlog, *, ttl: float, window: float) -> None:
        self.backlog = backlog
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
        trail = Trail(who, offer_pid=offer_pid and self._window > 0)
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

    async def leave(self, trail: Trail, chat_id: str) -> None:
        """The socket leaves the chat's room. When the store raises, it has not left."""
        seq = trail.positions.get(chat_id)
        if not self.drop(trail, chat_id) or seq is None:
            return
        try:
            await self._save(trail)
        except StoreError:
            trail.positions.setdefault(chat_id, seq)
            raise

    def expelled(self, trail: Trail, chat_id: str) -> None:
        """The socket was put out of the chat's room."""
        if self.drop(trail, chat_id):
            self._save_soon(trail)

    def ping_sent(self, trail: Trail, live: Mapping[str, int], told: int | None) -> None:
        """A heartbeat goes out behind everything up to `live`, the newest `seq` told in each chat: so many
        messages in the node's order.
        """
        trail.mark = dict(live)
        trail.mark_since = told

    def pong(self, trail: Trail) -> None:
        """It was answered: the client has received all that. The token it came with is of no more use."""
        trail.last_activity = time = now()
        mark, trail.mark = trail.mark, None
        news = mark is not None and trail.confirm(mark)
        if mark is not None:
            trail.since, trail.resent = trail.mark_since, ()
        if mark is not None and trail.has_handed_over:
            trail.keys = msgspec.structs.replace(trail.keys, spent_hash=None)
            news = True
        if news or time - trail.saved_at > _SAVE_EVERY_MS:
            self._save_soon(trail)

    def abandon(self, trail: Trail) -> None:
        """Forget a trail, unless another socket continues its session by now."""
        if self._open.get(trail.id) is trail:
            del self._open[trail.id]

    async def end(self, trail: Trail, told: Told | None, *, on_purpose: bool) -> None:
        """The socket is gone; its session waits for a successor, with what it was told last, if that is
        known.

        A connection that was ended `on_purpose` cannot be continued by Socket.IO's own recovery.
        """
        trail.ended = True
        if self._open.get(trail.id) is not trail:
            return
        trail.last_activity = now()
        if on_purpose:
            trail.pid = None
        try:
            if self._is_kept(trail):
                await self._store.save_session(trail.record(self._ttl, told))
            elif trail.saved_at:
                await self._store.delete_session(trail.id)
        finally:
            self.abandon(trail)

    # Tokens.

    async def create(self, trail: Trail) -> events.RecoveryToken:
        """Return the socket's recovery token, made the first time."""
        while (token := trail.keys.token) is None:  # once more if another socket takes the session meanwhile
            before = trail.place
            try:
                await self._renew(trail, before.keys.token_hash)
            except StoreError:
                if trail.id == before.session_id:
                    trail.move(before)
                raise
        return self._token_event(trail, token)

    async def _renew(self, trail: Trail, spent_hash: bytes | None, replaces: str | None = None) -> str:
        """Store a trail under a new token, which is returned."""
        token = trail.renew(spent_hash)
        trail.renewing = True
        try:
            await self._save(trail, replaces, renews=True)
        finally:
            trail.renewing = False
        # A heartbeat that is on its way was sent before the token.
        trail.mark = None
        return token

    def _token_event(self, trail: Trail, token: str) -> events.RecoveryToken:
        return events.RecoveryToken(token=token, expires_at=iso(trail.last_activity + self._ttl))

    async def find(self, who: Connection, token: str, is_here: Callable[[], bool]) -> Found:
        """Return the session that a token belongs to.

        Wrong, foreign and expired tokens are refused alike.

        A token that was replaced, and whose replacement has been confirmed, ends the session: only a thief
        would use it. Or a node reads late what a client has asked that is not there any more (`is_here`), and
        may have gone on elsewhere: that does nothing.
        """
        session_id, _, secret = token.partition(".")
        session = await self._store.session(session_id, now())
        if session is None or session.user_id != who.user_id or session.token_hash is None or not is_here():
            raise errors.invalid_recovery_token()
        digest = hashed(secret)
        if not _fits(digest, session):
            self._detach(session_id)
            await self._store.delete_session(session_id)
            raise errors.invalid_recovery_token()
        return Found(session, digest)

    async def vouches(self, user_id: str, token: object, pid: object) -> bool:
        """Tell whether a token or a private id is that of a session of this user. It changes nothing."""
        time = now()
        if isinstance(token, str):
            session_id, _, secret = token.partition(".")
            session = await self._store.session(session_id, time)
            if session is not None and session.user_id == user_id and _fits(hashed(secret), session):
                return True
        if isinstance(pid, str):
            session = await self._store.session_by_pid(hashed(pid), time)
            return session is not None and session.user_id == user_id
        return False

    async def find_pid(self, user_id: str, pid: str) -> records.RecoverySession | None:
        """Return the session that Socket.IO's private id belongs to, if it is this user's and recent enough.

        Sessions that were open when the server died count from its start.
        """
        time = now()
        session = await self._store.session_by_pid(hashed(pid), time)
        if session is None or session.user_id != user_id:
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
        positions: dict[str, int] = {}
        reset: list[str] = []
        for chat_id, known in session.positions.items():
            view = await access.find_membership(self._store, chat_id, session.user_id)
            if view is None:
                continue
            claimed = last_seq.get(chat_id, known)
            # A number from the future belongs to another history, and so do void ones of a backup.
            if not same_history or known == records.VOID or claimed > view.chat.last_seq:
                reset.append(chat_id)
                claimed = view.chat.last_seq
            positions[chat_id] = claimed
        return Resumed(session, positions, reset)

    def continue_(self, trail: Trail, resumed: Resumed) -> Displaced | None:
        """Let a socket's trail go on with a stored session; return the one that had it until now, if any."""
        session = resumed.session
        self.abandon(trail)
        displaced = self._detach(session.id)
        positions = {**trail.positions, **resumed.positions}
        keys = Keys(None, session.token_hash, session.spent_hash)
        place = Place(
            session.id,
            session.connected_at,
            positions,
            keys,
            trail.pid,
            saved_at=session.last_activity,
            taken_at=max(now(), session.taken_at + 1),  # later by any node's clock
        )
        self._move(trail, place)
        return displaced

    def _detach(self, session_id: str) -> Displaced | None:
        """Take a session from the socket that has it."""
        trail = self._open.pop(session_id, None)
        if trail is None:
            return None
        place = trail.detach()
        self._open[trail.id] = trail
        return Displaced(trail, place)

    def _move(self, trail: Trail, place: Place) -> None:
        self.abandon(trail)
        trail.move(place)
        if not trail.ended:
            self._open[trail.id] = trail

    async def take_over(self, trail: Trail, resumed: Resumed, used: bytes) -> str:
        """Let a socket's trail go on with a stored session; return the token in place of the one `used`.

        That one stays good until the client has answered a heartbeat, so that a lost answer can be retried
        as often as it takes. When the store raises, nothing has changed.
        """
        before = trail.place
        displaced = self.continue_(trail, resumed)
        replaces = before.session_id if before.saved_at and before.session_id != trail.id else None
        try:
            return await self._renew(trail, used, replaces)
        except StoreError:
            self._put_back(trail, resumed.session.id, before, displaced)
            raise

    def _put_back(self, trail: Trail, session_id: str, before: Place, displaced: Displaced | None) -> None:
        """Undo a taking up, except where somebody else has gone on since."""
        if trail.id == session_id:
            self._move(trail, before)
        if displaced is not None and session_id not in self._open and displaced.is_idle:
            self._move(displaced.trail, displaced.place)

    def recovered(
        self, trail: Trail, resumed: Resumed, missed: Missed, token: str
    ) -> tuple[answers.Recovered, list[events.Event]]:
        """Return the answer to a socket that took over a session, whose new token is `token`, and what else
        it is told.
        """
        # A heartbeat that went out while rooms were entered was sent before all this.
        trail.mark = None
        queue = [one.message for one in missed.messages]
        session = self._facts(trail, sorted(resumed.positions), queue, token)
        answer = answers.Recovered(session=session, reset=resumed.reset, truncated=missed.truncated)
        told: list[events.Event] = [
            self._token_event(trail, token),
            events.Recovered(rooms=session.rooms, queued_messages=len(queue)),
        ]
        if queue:
            told.append(events.QueuedMessages(messages=queue, count=len(queue), truncated=missed.truncated))
        return answer, told

    # Facts and figures.

    def info(self, trail: Trail) -> answers.SessionInfo:
        """Return a socket's facts."""
        return answers.SessionInfo(
            session_info=self._facts(trail, sorted(trail.positions), [], trail.keys.token)
        )

    def _facts(
        self, trail: Trail, rooms: list[str], queue: list[objects.Message], token: str | None
    ) -> objects.Session:
        return objects.Session(
            user_id=trail.user_id,
            socket_id=trail.socket_id,
            connected_at=iso(trail.connected_at),
            last_activity=iso(trail.last_activity),
            rooms=rooms,
            message_queue=queue,
            recovery_token=token,
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

    async def _save(self, trail: Trail, replaces: str | None = None, *, renews: bool = False) -> None:
        if self._is_kept(trail):
            await self._store.save_session(trail.record(self._ttl), replaces=replaces, renews=renews)

    def _save_soon(self, trail: Trail) -> None:
        if self._is_kept(trail):
            # Nobody waits: what a failure loses is a position, and the messages behind it are then repeated.
            saved = self._store.save_session(trail.record(self._ttl))
            saved.add_done_callback(lambda done: done.exception())

    def _is_kept(self, trail: Trail) -> bool:
        has_key = trail.keys.token_hash is not None or trail.pid is not None
        return has_key and self._open.get(trail.id) is trail


def within(rooms: Container[str], resumed: Resumed) -> Resumed:
    """Leave everything out that is about other rooms than these."""
    return Resumed(
        resumed.session,
        {chat_id: seq for chat_id, seq in resumed.positions.items() if chat_id in rooms},
        [chat_id for chat_id in resumed.reset if chat_id in rooms],
    )


def _fits(digest: bytes, session: records.RecoverySession) -> bool:
    """Whether a secret with this hash is that of the session's token, or of the one it replaced."""
    good = [one for one in (session.token_hash, session.spent_hash) if one is not None]
    return any(hmac.compare_digest(digest, one) for one in good)
