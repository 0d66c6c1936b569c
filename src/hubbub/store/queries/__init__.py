"""The statements, a module a subject: plain functions over a connection, inside somebody else's transaction.

`append` and `confirm` are the hot paths, raw SQL for SQLite over whole batches; all else is SQLAlchemy Core
and serves both databases.
"""
