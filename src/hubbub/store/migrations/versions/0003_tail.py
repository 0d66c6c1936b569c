"""New messages are appended to a table with small indexes (docs/decisions/0015)."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tail, with the columns of `messages`; on SQLite only, whose one writer folds it."""
    if op.get_context().dialect.name != "sqlite":
        return
    op.create_table(
        "tail",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("chat_id", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("client_message_id", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("delivered_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("read_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("receipted_at", sa.BigInteger),
        sa.UniqueConstraint("id", name="tail_id"),
        sa.UniqueConstraint("chat_id", "seq", name="tail_seq"),
    )
