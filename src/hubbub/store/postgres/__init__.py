"""The store on PostgreSQL, for any number of nodes (docs/decisions/0013)."""

from hubbub.store.postgres.address import shown
from hubbub.store.postgres.audit import audit
from hubbub.store.postgres.store import PostgresStore

__all__ = ["PostgresStore", "audit", "shown"]
