"""What requests are answered when they succeed; `success` is always true and always first."""

import msgspec
from msgspec import UNSET, UnsetType

from hubbub.contract import objects


class Answer(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A successful answer."""

    success: bool = True


class Joined(Answer, frozen=True, kw_only=True):
    """To `join:chat`."""

    message: str = "Joined chat successfully"
    room_info: objects.JoinedRoomInfo


class Left(Answer, frozen=True, kw_only=True):
    """To `leave:chat`."""

    message: str = "Left chat successfully"


class RoomInfo(Answer, frozen=True, kw_only=True):
    """To `room:info`."""

    room_info: objects.RoomInfo


class RoomList(Answer, frozen=True, kw_only=True):
    """To `room:list`."""

    rooms: list[objects.RoomSummary]
    next_cursor: str | None


class RoomOnline(Answer, frozen=True, kw_only=True):
    """To `room:online`."""

    online_users: list[objects.OnlineUser]
    next_cursor: str | None


class Sent(Answer, frozen=True, kw_only=True):
    """To `message:send`, after the commit."""

    message: str = "Message sent successfully"
    sent_message: objects.Message


class SentBefore(Sent, frozen=True, kw_only=True):
    """To a `message:send` that repeats a `clientMessageId`: the first message."""

    duplicate: bool = True


class TypingUpdated(Answer, frozen=True, kw_only=True):
    """To `message:typing`."""

    message: str = "Typing status updated"


class TypingUnannounced(TypingUpdated, frozen=True, kw_only=True):
    """To `message:typing` in a room too large for typing to be told."""

    announced: bool = False


class TypingUsers(Answer, frozen=True, kw_only=True):
    """To `message:typing-users`."""

    typing_users: list[objects.TypingUser]


class Delivered(Answer, frozen=True, kw_only=True):
    """To `message:delivered`."""

    message: str = "Delivery confirmed"


class Read(Answer, frozen=True, kw_only=True):
    """To `message:read`."""

    message: str = "Read confirmation recorded"


class DeliveryStatus(Answer, frozen=True, kw_only=True):
    """To `message:delivery-status`."""

    status: objects.DeliveryStatus


class MessageStats(Answer, frozen=True, kw_only=True):
    """To `message:stats`."""

    stats: objects.MessageStats


class StatusUpdated(Answer, frozen=True, kw_only=True):
    """To `presence:update-status`."""

    message: str = "Status updated successfully"


class OnlineUsers(Answer, frozen=True, kw_only=True):
    """To `presence:online-users`."""

    users: list[objects.OnlineUser]
    next_cursor: str | None


class UserStatus(Answer, frozen=True, kw_only=True):
    """To `presence:user-status`."""

    presence: objects.Presence


class PresenceStats(Answer, frozen=True, kw_only=True):
    """To `presence:stats`."""

    stats: objects.PresenceStats


class SessionCreated(Answer, frozen=True, kw_only=True):
    """To `connection:create-session`."""

    recovery_token: str


class Recovered(Answer, frozen=True, kw_only=True):
    """To `connection:recover`; `reset` names the chats to reload by history."""

    message: str = "Connection recovered successfully"
    session: objects.Session
    reset: list[str]
    truncated: bool


class SessionInfo(Answer, frozen=True, kw_only=True):
    """To `connection:session-info`."""

    session_info: objects.Session


class ConnectionStats(Answer, frozen=True, kw_only=True):
    """To `connection:stats`."""

    stats: objects.ConnectionStats


class OfNodes(Answer, frozen=True, kw_only=True):
    """What all nodes know together; `missingNodes` is there only when some did not report in time."""

    missing_nodes: list[str] | UnsetType = UNSET


class Metrics(OfNodes, frozen=True, kw_only=True):
    """To `monitoring:metrics`."""

    metrics: objects.Metrics


class ConnectionEvents(OfNodes, frozen=True, kw_only=True):
    """To `monitoring:events`, oldest first."""

    events: list[objects.ConnectionEvent]


class MonitoringStats(OfNodes, frozen=True, kw_only=True):
    """To `monitoring:stats`."""

    stats: objects.MonitoringStats


class Health(OfNodes, frozen=True, kw_only=True):
    """To `monitoring:health`."""

    health: objects.Health


class TokenRefreshed(Answer, frozen=True, kw_only=True):
    """To `auth:refresh`."""

    message: str = "Token refreshed"
    expires_at: str
