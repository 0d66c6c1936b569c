"""What the HTTP API asks and answers, beside what it shares with the socket API.

A request that succeeds is answered with the thing itself; one that fails, with an `errors.Failure`.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from hubbub.contract import objects
from hubbub.contract.values import Id, Role

USERNAME: Final = r"^[A-Za-z0-9_.-]+(?!\n)$"
EMAIL: Final = r"^[^@\s\x00-\x1f\x7f]+@[^@\s.\x00-\x1f\x7f]+(\.[^@\s.\x00-\x1f\x7f]+)+(?!\n)$"

Username = Annotated[str, msgspec.Meta(min_length=3, max_length=32, pattern=USERNAME)]
Email = Annotated[str, msgspec.Meta(max_length=254, pattern=EMAIL)]
Password = Annotated[str, msgspec.Meta(min_length=8, max_length=256)]
Login = Annotated[str, msgspec.Meta(min_length=1, max_length=254)]
ChatName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Description = Annotated[str, msgspec.Meta(max_length=1000)]
Participants = Annotated[list[Id], msgspec.Meta(max_length=500)]
OpaqueToken = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Body(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The body of a request. Unknown fields are ignored."""


class Register(Body, frozen=True, kw_only=True):
    """A new user, who will log in with this password."""

    username: Username
    password: Password
    email: Email | None = None


class LogIn(Body, frozen=True, kw_only=True):
    """A user's name, or e-mail address, and password."""

    username: Login
    password: Annotated[str, msgspec.Meta(max_length=256)]


class Refresh(Body, frozen=True, kw_only=True):
    """A refresh token, which this request uses up."""

    refresh_token: OpaqueToken


class NewUser(Register, frozen=True, kw_only=True):
    """A new user as an admin makes one."""

    role: Role = Role.USER


class UserChange(Body, frozen=True, kw_only=True):
    """What an admin may change of a user; what is absent stays."""

    active: bool | UnsetType = UNSET
    password: Password | UnsetType = UNSET


class NewChat(Body, frozen=True, kw_only=True):
    """A new chat. Whoever makes it becomes its admin; `participants` are further members."""

    name: ChatName
    description: Description | None = None
    is_public: bool = False
    participants: Participants = []


class ChatChange(Body, frozen=True, kw_only=True):
    """What may be changed of a chat; what is absent stays."""

    name: ChatName | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    archived: bool | UnsetType = UNSET


class NewParticipant(Body, frozen=True, kw_only=True):
    """A user to make a member, or a member to give another role."""

    user_id: Id
    role: Role | None = None


class User(objects.Object, frozen=True, kw_only=True):
    """A user."""

    id: str
    username: str
    email: str | None
    role: str
    created_at: str


class UserDetails(User, frozen=True, kw_only=True):
    """A user as admins see one; an inactive user is let in nowhere."""

    active: bool
    last_seen: str | None


class UserList(objects.Object, frozen=True, kw_only=True):
    """Users by name; `nextCursor` is null at the end."""

    users: list[UserDetails]
    next_cursor: str | None


class LoggedIn(objects.Object, frozen=True, kw_only=True):
    """A user with an access token, good until `expiresAt`, and the refresh token for the next one."""

    user: User
    access_token: str
    refresh_token: str
    expires_at: str


class Me(objects.Object, frozen=True, kw_only=True):
    """Who bears the token, and until when it is good."""

    user: User
    expires_at: str


class Chat(objects.Object, frozen=True, kw_only=True):
    """A chat as the asker sees it; `role` is the asker's in it, null for somebody who is no member."""

    id: str
    name: str
    description: str | None
    is_public: bool
    is_active: bool
    created_by: str
    created_at: str
    last_activity: str
    last_seq: int
    participant_count: int
    role: str | None
    unread_count: int


class ListedChat(objects.Object, frozen=True, kw_only=True):
    """A chat in its member's list."""

    id: str
    name: str
    description: str | None
    is_public: bool
    is_active: bool
    created_by: str
    created_at: str
    last_activity: str
    last_seq: int
    participant_count: int
    unread_count: int
    last_message: objects.Message | None


class ChatList(objects.Object, frozen=True, kw_only=True):
    """The asker's chats, newest activity first; `nextCursor` is null at the end."""

    chats: list[ListedChat]
    next_cursor: str | None


class Participant(objects.Object, frozen=True, kw_only=True):
    """A member of a chat."""

    user_id: str
    username: str
    role: str
    joined_at: str


class ParticipantList(objects.Object, frozen=True, kw_only=True):
    """Members of a chat by user id; `nextCursor` is null at the end."""

    participants: list[Participant]
    next_cursor: str | None


class History(objects.Object, frozen=True, kw_only=True):
    """Messages of a chat, oldest first.

    `hasMore` tells of further ones on the side that was asked for: newer ones behind `after`, else older
    ones. `epoch` names the history that `seq` counts in.
    """

    messages: list[objects.Message]
    has_more: bool
    epoch: str


class Live(objects.Object, frozen=True, kw_only=True):
    """The server runs."""

    status: str = "ok"


class Ready(objects.Object, frozen=True, kw_only=True):
    """Whether the server can take requests (`ok` or `unavailable`), and if not, why."""

    status: str
    problems: list[str]


class Node(objects.Object, frozen=True, kw_only=True):
    """A node of the server: the name that it has until it ends, and which process on which machine it is."""

    node: str
    host: str
    pid: int
    started_at: str
    active_connections: int


class NodeList(objects.Object, frozen=True, kw_only=True):
    """The nodes by name; `missingNodes` is there only when some did not report in time."""

    nodes: list[Node]
    missing_nodes: list[str] | UnsetType = UNSET
