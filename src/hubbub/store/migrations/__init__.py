"""The history of the tables, as Alembic revisions in `versions/`; `hubbub.store.migrate` runs them."""
