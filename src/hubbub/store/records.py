"""What the store keeps, as plain records. Times are Unix milliseconds."""

from collections.abc import Sequence
from itertools import count
from typing import Any, Final, Protocol

import msgspec

VOID: Final = -1
"""A session's position in a chat whose history is another one since: a backup was put back."""


class Fields(Protocol):
    """A row of a database, whichever driver has read it."""

    def __getitem__(self, name: str, /) -> Any:
        """Return a column's value."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A registered user, or one taken over from a foreign token (then without a password)."""

    id: str
    username: str
    email: str | None
    role: str
    active: bool
    created_at: int
    last_seen: int | None = None


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A user together with the password's Argon2 hash; null for users who cannot log in with one."""

    user: User
    password_hash: str | None


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat.

    `last_seq` numbers its newest message (0 when none); `last_activity` is that one's time, or the creation.
    """

    id: str
    name: str
    description: str | None
    is_public: bool
    created_by: str
    created_at: int
    archived_at: int | None
    last_seq: int
    last_activity: int
    member_count: int


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A user's membership of a chat. Messages up to `joined_seq` were there before and are never unread."""

    chat_id: str
    user_id: str
    role: str
    joined_at: int
    joined_seq: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a chat's log.

    `seq` numbers the chat's messages 1, 2, 3, … in commit order. `position` names the message among those of
    all chats; it grows with `seq` in every chat, but may have gaps. Over all chats it is the commit order if
    the store `orders_all_chats`, and about that otherwise.
    """

    id: str
    chat_id: str
    seq: int
    position: int
    user_id: str
    username: str
    content: str
    type: str
    client_message_id: str | None
    created_at: int


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to append. `username` is the author's, to spare the log a look-up."""

    id: str
    chat_id: str
    user_id: str
    username: str
    content: str
    type: str
    client_message_id: str | None
    created_at: int


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """A committed message; with `duplicate` the one that had this `client_message_id` first."""

    message: Message
    duplicate: bool


class ChatView(msgspec.Struct, frozen=True, kw_only=True):
    """A chat as one user sees it. `member` is null for outsiders, and then `unread` is 0."""

    chat: Chat
    member: Member | None
    unread: int


class ChatRow(msgspec.Struct, frozen=True, kw_only=True):
    """A chat in a member's list."""

    chat: Chat
    unread: int
    last_message: Message | None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A newly recorded receipt of one message, with the message's counts after it."""

    message_id: str
    seq: int
    sender_id: str
    delivered_count: int
    read_count: int


class DeliveryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Who has received and who has read a message, never its sender; `updated_at` is the last time."""

    delivered_to: list[str]
    read_by: list[str]
    updated_at: int | None


class MessageTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Messages stored, and receipts of each kind, over all chats."""

    messages: int
    delivered: int
    read: int


class Commits(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions committed since the start, the operations in them, and the seconds they took in all."""

    transactions: int
    operations: int
    seconds: float


class LastTold(msgspec.Struct, frozen=True):
    """What a node told a socket last, in that order: at least all that its client is not known to have.

    `teller` is the node. `first` maps each chat to the `seq` of its first message here; those that follow in
    the chat have the next ones. `order` has the chat of each message, by its place in `first`.
    """

    teller: str
    first: dict[str, int]
    order: list[int]

    @classmethod
    def of(cls, teller: str, messages: Sequence[tuple[str, int]]) -> "LastTold":
        """Put it down from the chat and the `seq` of each message."""
        first: dict[str, int] = {}
        for chat_id, seq in messages:
            first.setdefault(chat_id, seq)
        places = {chat_id: place for place, chat_id in enumerate(first)}
        return cls(teller, first, [places[chat_id] for chat_id, _ in messages])

    def messages(self) -> list[tuple[str, int]]:
        """Return the chat and the `seq` of each message."""
        chats, following = list(self.first), {chat_id: count(seq) for chat_id, seq in self.first.items()}
        return [(chats[place], next(following[chats[place]])) for place in self.order]


class RecoverySession(msgspec.Struct, frozen=True, kw_only=True):
    """What a socket leaves behind for its successor.

    `positions` maps each joined chat to the `seq` up to which this client is known to have received (known:
    told by the client, or confirmed by a heartbeat answer), or to `VOID`. `token_hash` is the current
    recovery token's, `spent_hash` the one it replaced, good until the client has answered a heartbeat;
    `pid_hash` is the hash of Socket.IO's own private id. `expires_at` moves with every save. `last_told` is
    put down at the end of a connection, if its node knows. `taken_at` grows with each socket that goes on.
    """

    id: str
    user_id: str
    socket_id: str
    token_hash: bytes | None
    spent_hash: bytes | None
    pid_hash: bytes | None
    positions: dict[str, int]
    connected_at: int
    last_activity: int
    expires_at: int
    last_told: LastTold | None = None
    taken_at: int = 0


class SessionTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Unexpired recovery sessions, those with a token, and the sum of their ages in milliseconds."""

    sessions: int
    tokens: int
    total_age: int


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token that was handed out, by its hash."""

    token_hash: bytes
    user_id: str
    expires_at: int


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """A member's word that messages of a chat have been delivered, or read: `kind` says which."""

    chat_id: str
    user_id: str
    message_ids: Sequence[str]
    kind: str
    now: int
