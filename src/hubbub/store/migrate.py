"""Brings a database to this program's tables: Alembic, run from the package's own revisions.

A migration runs in one transaction: it is done or was never begun. A database that a newer program has
migrated is refused with `StoreUnusable`, since its tables may mean something else by now.
"""

from functools import cache
from io import StringIO
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from hubbub.store.base import StoreUnusable
from hubbub.store.schema import metadata

REVISIONS = Path(__file__).parent / "migrations"


@cache
def _script() -> ScriptDirectory:
    return ScriptDirectory(str(REVISIONS))


def head_revision() -> str:
    """Return the revision that this program works with."""
    head = _script().get_current_head()
    if head is None:
        raise StoreUnusable(
            "this installation of hubbub is incomplete: its migrations are missing; install it again"
        )
    return head


def current_revision(connection: Connection) -> str | None:
    """Return the revision that a database is at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(connection: Connection) -> bool:
    """Bring a database to the head revision; True when there was something to do.

    Begins and commits its own transaction. Raises `StoreUnusable` when the database is newer than the
    program.
    """
    current = current_revision(connection)
    connection.rollback()
    head = head_revision()
    if current == head:
        return False
    check_known(current)
    with EnvironmentContext(Config(), _script(), fn=_upgrade, destination_rev=head) as environment:
        environment.configure(
            connection, target_metadata=metadata, transactional_ddl=True, render_as_batch=True
        )
        with environment.begin_transaction():
            environment.run_migrations()
    return True


def statements(url: str, current: str | None) -> str:
    """Return what brings a database from a revision (None: an empty one) to the head, as one SQL script.

    For a database whose driver Alembic cannot use: `url` names the dialect. Begins and commits its own
    transaction. Raises `StoreUnusable` as `migrate` does.
    """
    check_known(current)
    written = StringIO()
    options = {"fn": _upgrade, "as_sql": True, "starting_rev": current, "destination_rev": head_revision()}
    with EnvironmentContext(Config(), _script(), **options) as environment:
        environment.configure(
            url=url,
            dialect_opts={"paramstyle": "named"},
            target_metadata=metadata,
            literal_binds=True,
            transactional_ddl=True,
            output_buffer=written,
        )
        with environment.begin_transaction():
            environment.run_migrations()
    return written.getvalue()


def _upgrade(revision: str, _context: MigrationContext) -> list[RevisionStep]:
    # As Alembic's own commands do; it has no other name.
    return _script()._upgrade_revs(head_revision(), revision)  # noqa: SLF001


def check_known(current: str | None) -> None:
    """Raise `StoreUnusable` for a database that a newer program has made."""
    if current is not None and not is_known(current):
        raise StoreUnusable(
            f"the database was made by a newer hubbub (revision {current}; "
            f"this one knows up to {head_revision()}): "
            "start that version, or restore a backup made by this one"
        )


def is_known(revision: str) -> bool:
    """Tell whether a revision is this program's, or an older one's."""
    return any(known.revision == revision for known in _script().walk_revisions())
