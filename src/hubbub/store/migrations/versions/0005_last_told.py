"""What a socket was told last is kept with its session (docs/decisions/0020)."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add a column. Nodes of before leave it as it is: to them it is not there."""
    op.add_column("sessions", sa.Column("last_told", TEXT))
