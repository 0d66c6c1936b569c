"""The port of the durable truth, and what every store guarantees.

- A method that writes returns after its transaction is durable on disk, or raises and has changed nothing.
  `append` and `confirm` hand back a future instead, so that many fit into one transaction (group commit).
- `seq` is given inside the append's transaction: dense from 1 in every chat, in commit order, never reused.
- Membership is checked in the same transaction that appends: no message of a former member is ever stored.
- Reads see everything committed before they began.
- Several stores may write one database, if its implementation says so; what is promised holds among them all.
- A store that cannot do its work now raises `StoreUnavailable`; trying again later is safe.

Cancelling a caller never leaves a transaction half done.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

from hubbub.store import records

Cursor: TypeAlias = tuple[int, str]
"""Where a page of chats begins: the last row's `last_activity` and id."""


class StoreError(Exception):
    """The store refuses or fails; the base of the errors below."""


class StoreUnavailable(StoreError):
    """The database cannot be used now (full, locked, gone); nothing was changed.

    One exception: where a connection broke amid a commit and the database stayed away, nobody knows whether
    it was. Repeating a message under its `client_message_id` finds out.
    """


class StoreUnusable(StoreError):
    """The database cannot be opened: not ours, damaged, newer than this program, or in use by a server."""


class NotMember(StoreError):
    """The chat does not exist or the user is not its member."""


class ChatArchived(StoreError):
    """The chat takes no more messages."""


class Unstorable(StoreError):
    """A value has no place in the database: a lone surrogate, an integer beyond 64 bits, an unknown id."""


class Conflict(StoreError):
    """A unique value is taken: `what` names it (`username`, `email`, `id`, `clientMessageId`)."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class MessageMissing(StoreError):
    """One of the messages is not in that chat."""


ReceiptKind: TypeAlias = Literal["delivered", "read"]


class Users(Protocol):
    """Users and their refresh tokens."""

    async def create_user(self, user: records.User, password_hash: str | None) -> None:
        """Store a new user.

        Raises `Conflict` when the id is taken; for a user with a password also when anybody has the username,
        or another user with a password the email.
        """

    async def ensure_user(self, user: records.User) -> records.User:
        """Return the stored user of that id, creating it from `user` when there is none.

        A username that another user has is no conflict here: foreign tokens decide their own names. A stored
        user takes over a changed username, email and role; the rest stays as stored. A user with a password
        keeps the stored username and email where the new ones belong to another user with a password.
        """

    async def user(self, user_id: str) -> records.User | None:
        """Return a user."""

    async def credentials(self, login: str) -> records.Credentials | None:
        """Return the user with a password who has that username or email (letter case ignored)."""

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """Replace a user's password hash. Raises `Conflict` as `create_user` does."""

    async def set_active(self, user_id: str, active: bool) -> bool:
        """Switch a user on or off; False when there is no such user."""

    async def set_last_seen(self, user_id: str, now: int) -> None:
        """Remember when a user was last connected."""

    async def list_users(self, after: str, limit: int) -> list[records.User]:
        """Return users by username and id; `after` is the last id of the page before, "" at first."""

    async def count_users(self) -> int:
        """Return the number of users, in O(1)."""

    async def save_refresh_token(self, token: records.RefreshToken) -> None:
        """Remember a refresh token."""

    async def take_refresh_token(self, token_hash: bytes, now: int) -> str | None:
        """Use up a refresh token: return its user's id once; None when unknown, used or expired."""

    async def drop_refresh_tokens(self, user_id: str) -> None:
        """Forget all refresh tokens of a user."""


class Chats(Protocol):
    """Chats and their members."""

    async def create_chat(self, chat: records.Chat, members: Sequence[records.Member]) -> None:
        """Store a new chat with first members and an empty log. Raises `Conflict` when the id is taken."""

    async def chat(self, chat_id: str) -> records.Chat | None:
        """Return a chat."""

    async def chat_for(self, chat_id: str, user_id: str) -> records.ChatView | None:
        """Return a chat as a user sees it, or None when there is no such chat."""

    async def chats_of(self, user_id: str, limit: int, before: Cursor | None) -> list[records.ChatRow]:
        """Return a member's chats by last activity, newest first, beginning behind `before`."""

    async def list_chats(self, limit: int, before: Cursor | None) -> list[records.Chat]:
        """Return all chats by last activity, newest first, beginning behind `before`."""

    async def update_chat(
        self, chat_id: str, *, name: str, description: str | None, archived_at: int | None
    ) -> None:
        """Replace a chat's name, description and archived state."""

    async def add_member(self, chat_id: str, user_id: str, role: str, now: int) -> bool:
        """Make a user a member (with `joined_seq` = the chat's `last_seq`), or give a member another role.

        Returns True when the user was none before. Raises `Unstorable` when there is no such chat or user.
        """

    async def remove_member(self, chat_id: str, user_id: str) -> bool:
        """End a membership; False when there was none."""

    async def members(self, chat_id: str, after: str, limit: int) -> list[records.Member]:
        """Return a chat's members by user id, beginning behind `after` ("" at first)."""

    async def member_ids(self, chat_id: str) -> list[str]:
        """Return the ids of all members of a chat."""

    async def contacts(self, user_id: str) -> set[str]:
        """Return the ids of all users who share a chat with that user, the user included."""

    async def chat_ids_of(self, user_id: str) -> list[str]:
        """Return the ids of all chats that a user is a member of."""


class Log(Protocol):
    """The numbered log of every chat, and its receipts."""

    def orders_all_chats(self) -> bool:
        """Whether `position` is the commit order over all chats, and not only within each.

        It is with one writer. With several, a smaller one may be committed, or told, after a larger one.
        """

    def append(self, message: records.NewMessage) -> "Future[records.Appended]":
        """Append a message; the future is done after the commit, in the order of `seq`.

        Futures of one batch complete in one turn of the loop, in commit order; those of one author complete
        in the order of the calls. The future fails with
        `NotMember`, `ChatArchived`, `Conflict` (the `client_message_id` was used for another content or
        type), `Unstorable` or `StoreUnavailable`. A repeated `client_message_id` is answered in an archived
        chat too, but only to a member. A future that its caller cancels does not take the message back.
        """

    async def read(
        self, chat_id: str, *, after: int = 0, before: int | None = None, limit: int, newest: bool = False
    ) -> list[records.Message]:
        """Return messages with `after < seq < before`, oldest first: the oldest `limit`, or the newest."""

    async def message(self, message_id: str) -> records.Message | None:
        """Return a message."""

    async def last_seqs(self, chat_ids: Sequence[str]) -> dict[str, int]:
        """Return the newest `seq` of each of these chats that exists."""

    async def last_position(self) -> int:
        """Return the newest `position` (0 when there is no message)."""

    def confirm(
        self, chat_id: str, user_id: str, message_ids: Sequence[str], kind: ReceiptKind, now: int
    ) -> "Future[list[records.Receipt]]":
        """Record receipts of a member; the future gives only those that are new, with their counts.

        Reading implies delivered. The user's own messages are passed over. Receipts come in the order of
        `message_ids`, each once. Fails with `NotMember`, `MessageMissing` (then none is recorded),
        `Unstorable` or `StoreUnavailable`.
        """

    async def delivery_status(self, message: records.Message) -> records.DeliveryStatus:
        """Return who has received and read a message."""

    async def totals(self) -> records.MessageTotals:
        """Return the totals over all chats, in O(1)."""


class Sessions(Protocol):
    """Recovery sessions."""

    def save_session(
        self, session: records.RecoverySession, *, replaces: str | None = None, renews: bool = False
    ) -> "Future[None]":
        """Store or replace a session by its id; the future is done after the commit.

        Unless this `renews` the token, a session that is stored with another one stays as it is: another node
        has gone on with it. In the same transaction the session with the id `replaces` is forgotten.
        """

    async def session(self, session_id: str, now: int) -> records.RecoverySession | None:
        """Return an unexpired session."""

    async def session_by_pid(self, pid_hash: bytes, now: int) -> records.RecoverySession | None:
        """Return the unexpired session whose private id has this hash."""

    async def delete_session(self, session_id: str) -> None:
        """Forget a session."""

    async def delete_expired(self, now: int) -> int:
        """Forget expired sessions and refresh tokens; return how many."""

    async def session_totals(self, now: int) -> records.SessionTotals:
        """Return figures over all unexpired sessions."""


class Store(Users, Chats, Log, Sessions, Protocol):
    """The whole port."""

    async def epoch(self) -> str:
        """Return the name of this history; it changes only when stored messages were lost or replaced."""

    def on_new_epoch(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called with the new epoch when the history is replaced while the store is open.

        What is remembered of numbers and positions means nothing from then on.
        """

    async def check(self) -> None:
        """Do a small read and a small durable write; for readiness and health.

        Raises `StoreUnavailable` when that fails, and when a write has failed a moment ago.
        """

    def appending(self) -> bool:
        """Whether messages are being committed now; what waits for that will be done in a moment."""

    def commits(self) -> records.Commits:
        """Return figures of the group commit."""

    async def close(self) -> None:
        """Finish what was begun, then let go of the database."""
