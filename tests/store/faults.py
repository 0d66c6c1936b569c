"""Databases that fail when told to: connections whose Nth call raises, without a switch in the product."""

import functools
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest


class Faults:
    """Counts the calls to the database; the one that `fail_at` names raises `error`, once."""

    def __init__(self, error: Callable[[], sqlite3.Error]) -> None:
        self.error = error
        self.fail_at: int | None = None
        self.calls = 0

    def arm(self, nth: int) -> None:
        """Let the `nth` call from now on fail (1 is the next)."""
        self.calls, self.fail_at = 0, nth

    def disarm(self) -> bool:
        """Let everything work again; tell whether the fault had come."""
        struck = self.fail_at is not None and self.calls >= self.fail_at
        self.fail_at = None
        return struck

    def call(self) -> None:
        """Count a call, and fail it if it is its turn."""
        self.calls += 1
        if self.calls == self.fail_at:
            raise self.error()


def disk_error() -> sqlite3.Error:
    """What SQLite says when the disk fails it."""
    return sqlite3.OperationalError("disk I/O error")


def install(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> None:
    """Have every connection that is opened from now on count its calls and fail."""

    class FaultyCursor(sqlite3.Cursor):
        def execute(self, *args: Any) -> "FaultyCursor":
            faults.call()
            super().execute(*args)
            return self

    class FaultyConnection(sqlite3.Connection):
        def cursor(self, factory: Any = FaultyCursor) -> Any:
            return super().cursor(factory)

        def commit(self) -> None:
            faults.call()
            super().commit()

        def rollback(self) -> None:
            faults.call()
            super().rollback()

    connect = functools.partial(sqlite3.connect, factory=FaultyConnection)
    monkeypatch.setattr("hubbub.store.database.sqlite3.connect", connect)
