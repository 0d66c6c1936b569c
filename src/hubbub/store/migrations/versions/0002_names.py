"""Names are looked up among all users, those without a password included."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Index the names with letter case folded."""
    op.create_index("users_by_name", "users", ["username_key"])
