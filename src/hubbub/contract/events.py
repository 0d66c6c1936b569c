"""What the server tells unasked: one struct for each broadcast, `event` being its name on the wire."""

from typing import ClassVar

import msgspec

from hubbub.contract import objects


class Event(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A broadcast, or something told to one socket."""

    event: ClassVar[str]


class Membership(Event, frozen=True, kw_only=True):
    """Fields of `user:joined` and `user:left`."""

    user_id: str
    username: str
    chat_id: str
    online_count: int
    device_count: int
    timestamp: str


class UserJoined(Membership, frozen=True, kw_only=True):
    """A socket entered the room; to the others in it."""

    event: ClassVar[str] = "user:joined"


class UserLeft(Membership, frozen=True, kw_only=True):
    """A socket left the room; `deviceCount` 0 means that the user is gone."""

    event: ClassVar[str] = "user:left"


class RoomJoined(Event, frozen=True, kw_only=True):
    """To the socket that entered."""

    event: ClassVar[str] = "room:joined"
    chat_id: str
    room_info: objects.JoinedRoomInfo
    online_count: int
    message: str = "Successfully joined room"


class RoomLeft(Event, frozen=True, kw_only=True):
    """To the socket that left."""

    event: ClassVar[str] = "room:left"
    chat_id: str
    online_count: int
    message: str = "Successfully left room"


class RoomOnlineUpdate(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The room's set of users has changed; `count` is the whole number, the list may be cut (`truncated`)."""

    event: ClassVar[str] = "room:online-update"
    chat_id: str
    online_users: list[objects.OnlineUser]
    count: int
    timestamp: str
    truncated: bool = False


class RoomInfoChanged(Event, frozen=True, kw_only=True):
    """The chat's name, description, membership or archived state has changed; to its room."""

    event: ClassVar[str] = "room:info"
    chat_id: str
    room_info: objects.RoomInfo
    timestamp: str


class MessageSent(Event, frozen=True, kw_only=True):
    """To the sending socket, after the commit."""

    event: ClassVar[str] = "message:sent"
    message_id: str
    chat_id: str
    seq: int
    delivered_to: int
    timestamp: str


class UserTyping(Event, frozen=True, kw_only=True):
    """A user began or stopped typing; to the others in the room."""

    event: ClassVar[str] = "user:typing"
    user_id: str
    username: str
    chat_id: str
    is_typing: bool
    timestamp: str


class Receipt(Event, frozen=True, kw_only=True):
    """Fields of both receipts."""

    message_id: str
    chat_id: str
    user_id: str
    delivered_count: int
    read_count: int
    timestamp: str


class MessageDelivered(Receipt, frozen=True, kw_only=True):
    """A message has reached a user."""

    event: ClassVar[str] = "message:delivered"


class MessageRead(Receipt, frozen=True, kw_only=True):
    """A user has read a message."""

    event: ClassVar[str] = "message:read"


class UsersOnline(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Who is connected; to a socket when it connects. `scope` is `chats` when only users who share a chat are
    told of.
    """

    event: ClassVar[str] = "users:online"
    users: list[objects.OnlineUser]
    count: int
    timestamp: str
    scope: str
    truncated: bool = False


class UserPresence(Event, frozen=True, kw_only=True):
    """Fields of `user:online` and `user:offline`."""

    user_id: str
    username: str
    status: str
    last_seen: str
    timestamp: str


class UserOnline(UserPresence, frozen=True, kw_only=True):
    """A user's first socket has connected."""

    event: ClassVar[str] = "user:online"


class UserOffline(UserPresence, frozen=True, kw_only=True):
    """A user's last socket has been gone for the grace time; `status` is `offline`."""

    event: ClassVar[str] = "user:offline"


class UserStatusChanged(Event, frozen=True, kw_only=True):
    """A user chose another status."""

    event: ClassVar[str] = "user:status-changed"
    user_id: str
    username: str
    status: str
    old_status: str
    new_status: str
    last_seen: str
    timestamp: str


class RecoveryToken(Event, frozen=True, kw_only=True):
    """A new recovery token; to its socket."""

    event: ClassVar[str] = "connection:recovery-token"
    token: str
    expires_at: str


class Recovered(Event, frozen=True, kw_only=True):
    """A socket took up its session; `queuedMessages` is the count of missed messages handed over."""

    event: ClassVar[str] = "connection:recovered"
    message: str = "Connection recovered successfully"
    rooms: list[str]
    queued_messages: int


class QueuedMessages(Event, frozen=True, kw_only=True):
    """The missed messages, oldest first; with `truncated` the rest comes by history."""

    event: ClassVar[str] = "connection:queued-messages"
    messages: list[objects.Message]
    count: int
    truncated: bool


class ServerNotice(Event, frozen=True, kw_only=True):
    """The server is about to close this connection; reconnect after `retryAfter` seconds where it is not
    null.
    """

    event: ClassVar[str] = "connection:closing"
    reason: str
    message: str
    retry_after: int | None
