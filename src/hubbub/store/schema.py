"""The tables, as SQLAlchemy Core sees them; the migrations make them.

Times are Unix milliseconds. Ids are text. Who may not be mistaken for whom is said by unique indexes:

- `messages.position` numbers all messages in commit order, `(chat_id, seq)` those of a chat;
- `(chat_id, user_id, client_message_id)` is unique for ever: the memory that makes sending again safe;
- user names and emails bind only users with a password, since foreign tokens decide their own. The `_key`
  columns hold them with letter case folded, for all languages alike.

PostgreSQL compares text as SQLite does, byte by byte (collation "C"): the order of pages is the same, and no
update of the system's collations can spoil an index.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData()

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

meta: Final = Table(
    "meta",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("value", _TEXT, nullable=False),
    sqlite_with_rowid=False,
)

# Totals that nobody has to count: the sums over the rows. SQLite has one, PostgreSQL several, so that writers
# seldom wait for each other.
counters: Final = Table(
    "counters",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("users", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("read", BigInteger, nullable=False),
)

users: Final = Table(
    "users",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("username", _TEXT, nullable=False),
    Column("username_key", _TEXT, nullable=False),
    Column("email", _TEXT),
    Column("email_key", _TEXT),
    Column("role", _TEXT, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_seen", BigInteger),
    Column("password_hash", _TEXT),
)
Index("users_by_username", users.c.username, users.c.id)
Index("users_by_name", users.c.username_key)
with_password: Final = users.c.password_hash.is_not(None)
for _name in ("username", "email"):
    Index(
        f"users_{_name}",
        users.c[f"{_name}_key"],
        unique=True,
        sqlite_where=with_password,
        postgresql_where=with_password,
    )

refresh_tokens: Final = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("user_id", _TEXT, ForeignKey("users.id"), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("refresh_tokens_expiry", "expires_at"),
)

chats: Final = Table(
    "chats",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("name", _TEXT, nullable=False),
    Column("description", _TEXT),
    Column("is_public", Boolean, nullable=False),
    Column("created_by", _TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_activity", BigInteger, nullable=False),
    Column("member_count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# `sent_count` counts the member's own messages behind `joined_seq`: they are never unread. `covered_count`
# counts those
# of them that lie within the ranges of what the member has read (see queries/confirm.py).
members: Final = Table(
    "members",
    metadata,
    Column("chat_id", _TEXT, ForeignKey("chats.id"), nullable=False),
    Column("user_id", _TEXT, ForeignKey("users.id"), nullable=False),
    Column("role", _TEXT, nullable=False),
    Column("joined_at", BigInteger, nullable=False),
    Column("joined_seq", BigInteger, nullable=False),
    Column("sent_count", BigInteger, nullable=False),
    Column("covered_count", BigInteger, nullable=False),
    PrimaryKeyConstraint("chat_id", "user_id"),
    Index("members_by_user", "user_id", "chat_id"),
    sqlite_with_rowid=False,
)

messages: Final = Table(
    "messages",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", _TEXT, nullable=False),
    Column("chat_id", _TEXT, ForeignKey("chats.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("user_id", _TEXT, nullable=False),
    Column("username", _TEXT, nullable=False),
    Column("content", _TEXT, nullable=False),
    Column("type", _TEXT, nullable=False),
    Column("client_message_id", _TEXT),
    Column("created_at", BigInteger, nullable=False),
    Column("delivered_count", BigInteger, nullable=False, server_default="0"),
    Column("read_count", BigInteger, nullable=False, server_default="0"),
    Column("receipted_at", BigInteger),
    UniqueConstraint("id", name="messages_id"),
    UniqueConstraint("chat_id", "seq", name="messages_seq"),
    sqlite_autoincrement=True,
)
_with_client_id: Final = messages.c.client_message_id.is_not(None)
Index(
    "messages_client_id",
    messages.c.chat_id,
    messages.c.user_id,
    messages.c.client_message_id,
    unique=True,
    sqlite_where=_with_client_id,
    postgresql_where=_with_client_id,
)

# SQLite: messages that are to join `messages`, whose columns it has (see tail.py).
tail: Final = Table(
    "tail",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("chat_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("client_message_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("delivered_count", BigInteger, nullable=False, server_default="0"),
    Column("read_count", BigInteger, nullable=False, server_default="0"),
    Column("receipted_at", BigInteger),
    UniqueConstraint("id", name="tail_id"),
    UniqueConstraint("chat_id", "seq", name="tail_seq"),
)
# Ranges of `seq` (see ranges.py); they may cover own messages. They outlive a membership: what was received
# stays so.
receipts: Final = Table(
    "receipts",
    metadata,
    Column("chat_id", _TEXT, ForeignKey("chats.id"), nullable=False),
    Column("user_id", _TEXT, ForeignKey("users.id"), nullable=False),
    Column("delivered", _TEXT, nullable=False),
    Column("read", _TEXT, nullable=False),
    PrimaryKeyConstraint("chat_id", "user_id"),
    sqlite_with_rowid=False,
)

# `positions` is a JSON object: chat id -> `seq`; `last_told` is a `records.LastTold` as JSON.
sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("user_id", _TEXT, ForeignKey("users.id"), nullable=False),
    Column("socket_id", _TEXT, nullable=False),
    Column("token_hash", LargeBinary),
    Column("spent_hash", LargeBinary),
    Column("pid_hash", LargeBinary),
    Column("positions", _TEXT, nullable=False),
    Column("connected_at", BigInteger, nullable=False),
    Column("last_activity", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last_told", _TEXT),
    Column("taken_at", BigInteger, nullable=False, server_default="0"),
    Index("sessions_expiry", "expires_at"),
    Index("sessions_pid", "pid_hash", unique=True),
)
