"""What clients ask: one struct for each request of the API, named after its event.

`EVENTS` maps event names to structs. Unknown fields are ignored; wrong types, missing fields and out-of-range
values are refused (contract, section 2).
"""

from typing import Annotated, ClassVar

import msgspec

from hubbub.contract.values import ClientMessageId, ConnectionEventType, Id, PageLimit, Seq, Status


class Request(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A request; `event` is its name on the wire."""

    event: ClassVar[str]


class JoinChat(Request, frozen=True, kw_only=True):
    """Enter a chat's room; joining a public chat makes the user a member."""

    event: ClassVar[str] = "join:chat"
    chat_id: Id


class LeaveChat(Request, frozen=True, kw_only=True):
    """Leave a chat's room; the membership stays."""

    event: ClassVar[str] = "leave:chat"
    chat_id: Id


class RoomInfo(Request, frozen=True, kw_only=True):
    """Facts of one chat."""

    event: ClassVar[str] = "room:info"
    chat_id: Id


class RoomList(Request, frozen=True, kw_only=True):
    """The user's chats, newest activity first."""

    event: ClassVar[str] = "room:list"
    limit: PageLimit = 50
    cursor: str | None = None


class RoomOnline(Request, frozen=True, kw_only=True):
    """The users in a chat's room."""

    event: ClassVar[str] = "room:online"
    chat_id: Id
    limit: PageLimit = 50
    cursor: str | None = None


class SendMessage(Request, frozen=True, kw_only=True):
    """Append a message to a chat. `type` is matched in any letter case."""

    event: ClassVar[str] = "message:send"
    chat_id: Id
    content: str
    type: str = "text"
    client_message_id: ClientMessageId | None = None


class Typing(Request, frozen=True, kw_only=True):
    """Say that the user began or stopped typing."""

    event: ClassVar[str] = "message:typing"
    chat_id: Id
    is_typing: bool


class TypingUsers(Request, frozen=True, kw_only=True):
    """Who is typing in a chat."""

    event: ClassVar[str] = "message:typing-users"
    chat_id: Id


MessageIds = Annotated[list[Id], msgspec.Meta(min_length=1, max_length=500)]


class Confirm(Request, frozen=True, kw_only=True):
    """Fields of both receipts: one `messageId`, or `messageIds` in its place."""

    chat_id: Id
    message_id: Id | None = None
    message_ids: MessageIds | None = None


class ConfirmDelivered(Confirm, frozen=True, kw_only=True):
    """The messages have reached the user."""

    event: ClassVar[str] = "message:delivered"


class ConfirmRead(Confirm, frozen=True, kw_only=True):
    """The user has read the messages; reading implies delivered."""

    event: ClassVar[str] = "message:read"


class DeliveryStatus(Request, frozen=True, kw_only=True):
    """Whom a message has reached and who has read it."""

    event: ClassVar[str] = "message:delivery-status"
    message_id: Id


class MessageStats(Request, frozen=True, kw_only=True):
    """Messaging figures of the whole server."""

    event: ClassVar[str] = "message:stats"


class UpdateStatus(Request, frozen=True, kw_only=True):
    """Choose the user's presence."""

    event: ClassVar[str] = "presence:update-status"
    status: Status


class OnlineUsers(Request, frozen=True, kw_only=True):
    """Everybody connected."""

    event: ClassVar[str] = "presence:online-users"
    limit: PageLimit = 50
    cursor: str | None = None


class UserStatus(Request, frozen=True, kw_only=True):
    """Presence of one user."""

    event: ClassVar[str] = "presence:user-status"
    user_id: Id


class PresenceStats(Request, frozen=True, kw_only=True):
    """Presence figures of the whole server."""

    event: ClassVar[str] = "presence:stats"


class CreateSession(Request, frozen=True, kw_only=True):
    """Make, or return, this socket's recovery session."""

    event: ClassVar[str] = "connection:create-session"


RecoveryToken = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Recover(Request, frozen=True, kw_only=True):
    """Take up an earlier socket's rooms and everything that it missed."""

    event: ClassVar[str] = "connection:recover"
    recovery_token: RecoveryToken
    last_seq: dict[str, Seq] | None = None
    epoch: str | None = None


class SessionInfo(Request, frozen=True, kw_only=True):
    """This socket's facts."""

    event: ClassVar[str] = "connection:session-info"


class ConnectionStats(Request, frozen=True, kw_only=True):
    """Figures of connection recovery."""

    event: ClassVar[str] = "connection:stats"


class Metrics(Request, frozen=True, kw_only=True):
    """Connection figures."""

    event: ClassVar[str] = "monitoring:metrics"
    node: Id | None = None


EventLimit = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class ConnectionEvents(Request, frozen=True, kw_only=True):
    """The newest connection events that match."""

    event: ClassVar[str] = "monitoring:events"
    limit: EventLimit = 100
    type: ConnectionEventType | None = None
    user_id: Id | None = None
    ip: Id | None = None
    node: Id | None = None


class MonitoringStats(Request, frozen=True, kw_only=True):
    """Connection figures with the busiest addresses and clients."""

    event: ClassVar[str] = "monitoring:stats"
    node: Id | None = None


class Health(Request, frozen=True, kw_only=True):
    """How the server is, and what to do about it."""

    event: ClassVar[str] = "monitoring:health"
    node: Id | None = None


class RefreshToken(Request, frozen=True, kw_only=True):
    """Go on with a new token on the same connection."""

    event: ClassVar[str] = "auth:refresh"
    token: str


ALL: tuple[type[Request], ...] = (
    JoinChat,
    LeaveChat,
    RoomInfo,
    RoomList,
    RoomOnline,
    SendMessage,
    Typing,
    TypingUsers,
    ConfirmDelivered,
    ConfirmRead,
    DeliveryStatus,
    MessageStats,
    UpdateStatus,
    OnlineUsers,
    UserStatus,
    PresenceStats,
    CreateSession,
    Recover,
    SessionInfo,
    ConnectionStats,
    Metrics,
    ConnectionEvents,
    MonitoringStats,
    Health,
    RefreshToken,
)
