"""PostgreSQL: several writers count in rows of their own, and the history knows where it was written."""

from alembic import op

revision = "0004"
down_revision = "0003"

COUNTERS = """
INSERT INTO counters (id, users, messages, delivered, read)
SELECT id, 0, 0, 0, 0 FROM generate_series(2, 16) AS id
"""
PLACE = "INSERT INTO meta (name, value) VALUES ('place', '')"


def upgrade() -> None:
    """Add counters, and a row for the place; nothing on SQLite, which has one writer and one file."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(COUNTERS)
        op.execute(PLACE)
