"""Bugs in recovering and in who may. Each function patches the server of its own process."""

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from hubbub.chat import access
from hubbub.chat.backlog import Backlog, Missed, Offset, Replay
from hubbub.chat.recovery import Recovery
from hubbub.chat.trail import Keys, Trail, hashed
from hubbub.cluster.base import Expel, Telling
from hubbub.gateway.clients import Client
from hubbub.gateway.namespace import ChatNamespace
from hubbub.store import records
from hubbub.store.base import Chats


def cursor_too_far() -> None:
    """The message right behind the client's position is left out."""
    _shift_cursor(1)


def cursor_too_near() -> None:
    """The message at the client's position comes once more."""
    _shift_cursor(-1)


def _shift_cursor(by: int) -> None:
    queue, replay = Backlog.queue, Backlog.replay

    def moved(after: Mapping[str, int]) -> dict[str, int]:
        return {chat_id: max(seq + by, 0) for chat_id, seq in after.items()}

    async def shifted_queue(self: Backlog, after: Mapping[str, int], upto: Mapping[str, int]) -> Missed:
        return await queue(self, moved(after), upto)

    async def shifted_replay(
        self: Backlog,
        after: Mapping[str, int],
        upto: Mapping[str, int],
        offset: Offset | None,
        last_told: records.LastTold | None,
    ) -> Replay | None:
        elsewhere = None if offset is None else Offset(offset.position + by, offset.teller)
        return await replay(self, moved(after), upto, elsewhere, last_told)

    Backlog.queue = shifted_queue  # type: ignore[method-assign]
    Backlog.replay = shifted_replay  # type: ignore[method-assign]


def token_not_rotated() -> None:
    """A session has the same token for ever."""

    def renew(self: Trail, spent_hash: bytes | None) -> str:
        secret = hashlib.sha256(self.id.encode()).hexdigest()
        token = f"{self.id}.{secret}"
        self.keys = Keys(token, hashed(secret), spent_hash)
        return token

    Trail.renew = renew  # type: ignore[method-assign]


def token_never_spent() -> None:
    """The token before stays good whatever the client has answered."""

    def fits(digest: bytes, session: records.RecoverySession) -> bool:
        return digest in spent.setdefault(session.id, {digest})

    spent: dict[str, set[bytes]] = {}
    renew = Trail.renew

    def remembering(self: Trail, spent_hash: bytes | None) -> str:
        token = renew(self, spent_hash)
        known = spent.setdefault(self.id, set())
        known |= {one for one in (self.keys.token_hash, spent_hash) if one is not None}
        return token

    Trail.renew = remembering  # type: ignore[method-assign]
    Recovery.find.__globals__["_fits"] = fits


def membership_cached() -> None:
    """Who was seen to be a member once stays one where recovery looks."""
    find = access.find_membership
    known: dict[tuple[str, str], records.ChatView] = {}

    async def cached(chats: Chats, chat_id: str, user_id: str) -> records.ChatView | None:
        view = await find(chats, chat_id, user_id)
        if view is not None:
            known[chat_id, user_id] = view
        stale = known.get((chat_id, user_id))
        fresh = await chats.chat(chat_id) if stale is not None else None
        return stale if stale is None or fresh is None else msgspec.structs.replace(stale, chat=fresh)

    check = access.check_join

    async def remembering(chats: Chats, chat_id: str, user_id: str) -> records.ChatView:
        view = await check(chats, chat_id, user_id)
        known[chat_id, user_id] = view
        return view

    access.find_membership = cached
    access.check_join = remembering


def expulsion_not_heard() -> None:
    """Membership is looked at when a room is entered, and never again."""
    heard = ChatNamespace.heard

    def deaf(self: ChatNamespace, telling: Telling) -> None:
        if not isinstance(telling, Expel):
            heard(self, telling)

    ChatNamespace.heard = deaf  # type: ignore[method-assign]


def written_is_received() -> None:
    """What was written to a socket counts as received."""
    clear: Callable[..., object] = ChatNamespace._clear

    async def trusting(self: ChatNamespace, client: Client, reason: str) -> None:
        client.trail.confirm(self._delivery.live(client))
        await clear(self, client, reason)  # type: ignore[misc]

    ChatNamespace._clear = trusting  # type: ignore[method-assign]


def silently_truncated() -> None:
    """A queue that was cut does not say so."""
    queue = Backlog.queue

    async def silent(self: Backlog, after: Mapping[str, int], upto: Mapping[str, int]) -> Missed:
        return msgspec.structs.replace(await queue(self, after, upto), truncated=False)

    Backlog.queue = silent  # type: ignore[method-assign]
