"""Which history this is: its name, the epoch, and the place where it was written.

Every new connection looks at both before it is used, since whatever replaces a database cuts all connections.
The history is another one, and gets a new epoch, when

- its place has changed: the cluster (`system_identifier`), its timeline, which every promotion of a standby
  and every recovery to a point in time begins anew, the database, or the table, which every dump makes anew;
- the newest message that this node has seen committed is not there, or another one has its position.

A promotion that lost nothing gets a new epoch as well: clients load their chats again, no more. What neither
sign shows is in docs/decisions/0013.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final, TypeAlias

import asyncpg

from hubbub.store.base import StoreUnavailable

LOOK: Final = """
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
    CASE WHEN NOT pg_is_in_recovery() THEN concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),  -- the timeline
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        'meta'::regclass::oid) END AS place,
    (SELECT value FROM meta WHERE name = 'place') AS stored_place,
    (SELECT value FROM meta WHERE name = 'epoch') AS epoch,
    (SELECT id FROM messages WHERE position = $1) AS known,
    (SELECT stats_reset::text FROM pg_stat_bgwriter) AS life,  -- a crash is what resets it
    CASE current_setting('synchronous_commit')
        WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
"""
"""Also has commits on disk before they are acknowledged, whatever the server's own setting is."""
LOCK: Final = "SELECT name FROM meta ORDER BY name FOR UPDATE"
SET: Final = "UPDATE meta SET value = $2 WHERE name = $1"
VOID_POSITIONS: Final = """
UPDATE sessions SET positions = coalesce(
    (SELECT json_object_agg(key, -1) FROM json_each(positions::json)), '{}')::text
"""
"""The sessions of another history still know their chats, but no place in them (`records.VOID`)."""

_Known: TypeAlias = tuple[int, str]
_NONE: Final[_Known] = (0, "")

log: Final = logging.getLogger(__name__)


class History:
    """The name of the history that a store is open on."""

    def __init__(self) -> None:
        self.epoch = ""
        # Changes with each crash of the server, which may give numbers of transactions anew that have
        # left nothing on its disk.
        self.life = ""
        self._newest = _NONE
        self._told: list[Callable[[str], None]] = []
        self._looking = asyncio.Lock()

    def on_new_epoch(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called when the history is another one."""
        self._told.append(tell)

    def saw(self, position: int, message_id: str) -> None:
        """This message was committed."""
        self._newest = max(self._newest, (position, message_id))

    async def look(self, connection: asyncpg.Connection) -> None:
        """Look at a new connection. Raises `StoreUnavailable` when the server cannot be written."""
        async with self._looking:  # one after the other, or an older look could overrule a newer one
            known = self._newest  # before looking: what is committed meanwhile may not be seen
            row = await _look(connection, known)
            self.life = str(row["life"])
            if row["read_only"]:
                raise StoreUnavailable("the database server is a standby, or read-only")
            epoch = row["epoch"]
            if row["place"] != row["stored_place"] or self._is_lost(row, known):
                epoch = await self._settle(connection, known)
            self._take(epoch)

    def _is_lost(self, row: asyncpg.Record, known: _Known) -> bool:
        return known is not _NONE and bool(row["epoch"] == self.epoch and row["known"] != known[1])

    async def _settle(self, connection: asyncpg.Connection, known: _Known) -> str:
        """Begin a new history unless another node has done so; return its epoch."""
        async with connection.transaction():
            await connection.execute(LOCK)
            row = await _look(connection, known)
            moved, lost = row["place"] != row["stored_place"], self._is_lost(row, known)
            epoch: str = row["epoch"]
            if moved:
                await connection.execute(SET, "place", row["place"])
            if lost or (moved and row["stored_place"]):
                epoch = secrets.token_hex(16)
                await connection.execute(SET, "epoch", epoch)
                await connection.execute(VOID_POSITIONS)
        return epoch

    def _take(self, epoch: str) -> None:
        if epoch == self.epoch:
            return
        first, self.epoch, self._newest = not self.epoch, epoch, _NONE
        if first:
            return
        log.warning("the database was restored, or failed over: its history is another one now")
        for tell in self._told:
            tell(epoch)


async def _look(connection: asyncpg.Connection, known: _Known) -> asyncpg.Record:
    row = await connection.fetchrow(LOOK, known[0])
    assert row is not None  # noqa: S101 - a SELECT without FROM has a row
    return row
