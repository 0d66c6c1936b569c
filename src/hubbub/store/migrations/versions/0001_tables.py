"""The tables of the first day.

A revision says what it does in its own words and never reads `schema.py`, which moves on.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
REGISTERED = sa.text("password_hash IS NOT NULL")
HAS_CLIENT_ID = sa.text("client_message_id IS NOT NULL")


def upgrade() -> None:
    """Make the tables, the counters and the name of this history."""
    _make_people()
    _make_chats()
    _make_log()
    _make_receipts()
    _make_sessions()
    meta = op.create_table(
        "meta",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("value", TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.bulk_insert(meta, [{"name": "epoch", "value": secrets.token_hex(16)}])
    counters = op.create_table(
        "counters",
        sa.Column("id", sa.Integer, primary_key=True),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("users", "messages", "delivered", "read")
        ),
    )
    op.bulk_insert(counters, [{"id": 1, "users": 0, "messages": 0, "delivered": 0, "read": 0}])


def _make_people() -> None:
    op.create_table(
        "users",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("username_key", TEXT, nullable=False),
        sa.Column("email", TEXT),
        sa.Column("email_key", TEXT),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger),
        sa.Column("password_hash", TEXT),
    )
    op.create_index("users_by_username", "users", ["username", "id"])
    for name in ("username", "email"):
        op.create_index(
            f"users_{name}",
            "users",
            [f"{name}_key"],
            unique=True,
            sqlite_where=REGISTERED,
            postgresql_where=REGISTERED,
        )
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.LargeBinary, primary_key=True),
        sa.Column("user_id", TEXT, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("refresh_tokens_expiry", "refresh_tokens", ["expires_at"])


def _make_chats() -> None:
    op.create_table(
        "chats",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("archived_at", sa.BigInteger),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("last_activity", sa.BigInteger, nullable=False),
        sa.Column("member_count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "members",
        sa.Column("chat_id", TEXT, sa.ForeignKey("chats.id"), nullable=False),
        sa.Column("user_id", TEXT, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("joined_at", sa.BigInteger, nullable=False),
        sa.Column("joined_seq", sa.BigInteger, nullable=False),
        sa.Column("sent_count", sa.BigInteger, nullable=False),
        sa.Column("covered_count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "user_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("members_by_user", "members", ["user_id", "chat_id"])


def _make_log() -> None:
    op.create_table(
        "messages",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("chat_id", TEXT, sa.ForeignKey("chats.id"), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("client_message_id", TEXT),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("delivered_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("read_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("receipted_at", sa.BigInteger),
        sa.UniqueConstraint("id", name="messages_id"),
        sa.UniqueConstraint("chat_id", "seq", name="messages_seq"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "messages_client_id",
        "messages",
        ["chat_id", "user_id", "client_message_id"],
        unique=True,
        sqlite_where=HAS_CLIENT_ID,
        postgresql_where=HAS_CLIENT_ID,
    )


def _make_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("chat_id", TEXT, sa.ForeignKey("chats.id"), nullable=False),
        sa.Column("user_id", TEXT, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("delivered", TEXT, nullable=False),
        sa.Column("read", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "user_id"),
        sqlite_with_rowid=False,
    )


def _make_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("user_id", TEXT, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("socket_id", TEXT, nullable=False),
        sa.Column("token_hash", sa.LargeBinary),
        sa.Column("spent_hash", sa.LargeBinary),
        sa.Column("pid_hash", sa.LargeBinary),
        sa.Column("positions", TEXT, nullable=False),
        sa.Column("connected_at", sa.BigInteger, nullable=False),
        sa.Column("last_activity", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("sessions_expiry", "sessions", ["expires_at"])
    op.create_index("sessions_pid", "sessions", ["pid_hash"], unique=True)
