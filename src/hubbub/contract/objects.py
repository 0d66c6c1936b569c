"""Parts that answers and broadcasts share, field for field as on the wire."""

import msgspec


class Object(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A part of an answer or a broadcast."""


class Author(Object, frozen=True, kw_only=True):
    """Who wrote a message."""

    id: str
    username: str


class Message(Object, frozen=True, kw_only=True):
    """A message of a chat's log: `sentMessage`, `message:new`, and history are this same object."""

    id: str
    content: str
    type: str
    chat_id: str
    user_id: str
    created_at: str
    user: Author
    seq: int
    client_message_id: str | None


class RoomInfo(Object, frozen=True, kw_only=True):
    """Facts of a chat as `room:info` tells them."""

    chat_id: str
    name: str
    description: str | None
    participant_count: int
    online_count: int
    is_active: bool
    last_activity: str


class JoinedRoomInfo(Object, frozen=True, kw_only=True):
    """Facts of a chat for somebody who enters its room.

    `lastSeq` is the number of the newest message that the socket will not be told of any more: everything
    after it arrives as `message:new`.
    """

    chat_id: str
    name: str
    participant_count: int
    is_active: bool
    last_activity: str
    last_seq: int
    unread_count: int
    epoch: str


class RoomSummary(Object, frozen=True, kw_only=True):
    """A row of `room:list`."""

    chat_id: str
    name: str
    participant_count: int
    last_activity: str
    unread_count: int
    last_message: Message | None


class OnlineUser(Object, frozen=True, kw_only=True):
    """A connected user in a list."""

    user_id: str
    username: str
    status: str
    last_seen: str
    connected_at: str


class Presence(Object, frozen=True, kw_only=True):
    """Everything about one user's presence; the last four and `email` are null for other users."""

    user_id: str
    username: str
    email: str | None
    status: str
    last_seen: str | None
    connected_at: str | None
    socket_id: str | None
    user_agent: str | None
    ip_address: str | None


class TypingUser(Object, frozen=True, kw_only=True):
    """A user who is typing in a chat."""

    user_id: str
    username: str
    chat_id: str
    started_at: str


class DeliveryStatus(Object, frozen=True, kw_only=True):
    """Whom a message has reached, and who has read it; never its sender."""

    message_id: str
    delivered_to: list[str]
    read_by: list[str]
    sent_at: str
    last_update: str


class MessageStats(Object, frozen=True, kw_only=True):
    """Messages stored, and receipts of each kind."""

    active_typing_users: int
    tracked_messages: int
    total_delivered: int
    total_read: int


class PresenceStats(Object, frozen=True, kw_only=True):
    """Registered users, by status; the four add up to `totalUsers`."""

    total_users: int
    online_users: int
    away_users: int
    busy_users: int
    offline_users: int


class Session(Object, frozen=True, kw_only=True):
    """A socket's session; `recoveryToken` is null until one was asked for."""

    user_id: str
    socket_id: str
    connected_at: str
    last_activity: str
    rooms: list[str]
    message_queue: list[Message]
    recovery_token: str | None


class ConnectionStats(Object, frozen=True, kw_only=True):
    """Recovery sessions; `averageSessionAge` is in minutes."""

    active_sessions: int
    recovery_tokens: int
    queued_messages: int
    average_session_age: float


class Metrics(Object, frozen=True, kw_only=True):
    """Connections since `lastReset`; `averageConnectionDuration` is in milliseconds."""

    total_connections: int
    active_connections: int
    failed_connections: int
    average_connection_duration: int
    peak_connections: int
    connections_per_minute: int
    last_reset: str


class ConnectionEvent(Object, frozen=True, kw_only=True):
    """Something that happened to a connection."""

    type: str
    socket_id: str | None
    user_id: str | None
    ip_address: str
    user_agent: str
    timestamp: str
    details: dict[str, str | int | float | bool | None]


class AddressCount(Object, frozen=True, kw_only=True):
    """Connections from one address."""

    ip: str
    count: int


class AgentCount(Object, frozen=True, kw_only=True):
    """Connections by one kind of client."""

    user_agent: str
    count: int


class MonitoringStats(Object, frozen=True, kw_only=True):
    """Connection figures with the busiest addresses and clients; `errorRate` is between 0 and 1."""

    metrics: Metrics
    recent_events: list[ConnectionEvent]
    top_ips: list[AddressCount] = msgspec.field(name="topIPs")
    top_user_agents: list[AgentCount]
    error_rate: float


class Health(Object, frozen=True, kw_only=True):
    """How the server is, what is wrong and what to do."""

    status: str
    issues: list[str]
    recommendations: list[str]
