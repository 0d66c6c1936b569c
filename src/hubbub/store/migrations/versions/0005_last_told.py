"""What a socket was told last is kept with its session, and when it took that up (docs/decisions/0020)."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add columns. Nodes of before leave them as they are: to them they are not there."""
    op.add_column("sessions", sa.Column("last_told", TEXT))
    op.add_column("sessions", sa.Column("taken_at", sa.BigInteger, nullable=False, server_default="0"))
