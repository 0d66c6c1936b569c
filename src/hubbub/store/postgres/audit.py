"""The audit of a PostgreSQL database: what `store/audit.py` finds in a file, found by the same rules.

One snapshot is read, while servers go on. Pages and indexes are the business of pg_amcheck.
"""

from typing import Final

import asyncpg

from hubbub.store.audit import SESSIONS, Report, check_sessions, compare_totals
from hubbub.store.audited_chat import ChatAudit
from hubbub.store.base import StoreUnusable
from hubbub.store.migrate import check_known, head_revision
from hubbub.store.postgres.address import shown, unusable
from hubbub.store.postgres.opening import CONNECTING, revision_of
from hubbub.store.postgres.pool import Connection
from hubbub.store.snapshot import Progress

CHATS: Final = "SELECT id, last_seq, last_activity, created_at, member_count FROM chats ORDER BY id"
MEMBERS: Final = """
SELECT user_id, joined_seq, sent_count, covered_count FROM members WHERE chat_id = $1 ORDER BY user_id
"""
RECEIPTS: Final = "SELECT user_id, delivered, read FROM receipts WHERE chat_id = $1 ORDER BY user_id"
MESSAGES: Final = """
SELECT seq, position, user_id, created_at, delivered_count, read_count FROM messages
WHERE chat_id = $1 ORDER BY seq
"""
COUNTERS: Final = """
SELECT sum(users)::bigint, sum(messages)::bigint, sum(delivered)::bigint, sum(read)::bigint FROM counters
"""
REAL: Final = """
SELECT (SELECT count(*) FROM users), count(*), coalesce(sum(delivered_count), 0)::bigint,
    coalesce(sum(read_count), 0)::bigint
FROM messages
"""
GIVEN: Final = """
SELECT coalesce(max(position), 0), (SELECT last_value FROM messages_position_seq),
    (SELECT count(*) FROM meta WHERE name = 'epoch' AND value <> '')
FROM messages
"""

_AT_ONCE: Final = 10_000


async def audit(url: str, progress: Progress) -> Report:
    """Look through a whole database. Raises `StoreUnusable` when it cannot, or is of another version."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECTING)
        try:
            await _require_this_version(url, connection)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _look_through(connection, progress)
        finally:
            connection.terminate()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unusable(url, error) from None


async def _require_this_version(url: str, connection: Connection) -> None:
    revision = await revision_of(url, connection)
    check_known(revision)
    if revision != head_revision():
        old = f"is of an older hubbub (revision {revision})" if revision else "has no tables of hubbub"
        raise StoreUnusable(f"{shown(url)} {old}: run `hubbub migrate` first")


async def _look_through(connection: Connection, progress: Progress) -> Report:
    findings: list[str] = []
    newest: dict[str, int] = {}
    messages = 0
    kept = await connection.fetchrow(COUNTERS)
    assert kept is not None  # noqa: S101 - an aggregate has a row
    async for row in connection.cursor(CHATS):
        chat = ChatAudit(*row)
        chat.begin(await connection.fetch(MEMBERS, chat.id), await connection.fetch(RECEIPTS, chat.id))
        async for message in connection.cursor(MESSAGES, chat.id, prefetch=_AT_ONCE):
            chat.take(*message)
            if chat.count % _AT_ONCE == 0:
                progress("looking through the chats", messages + chat.count, None)
        findings += chat.findings()
        messages += chat.count
        newest[chat.id] = chat.last_seq
    real = await connection.fetchrow(REAL)
    assert real is not None  # noqa: S101 - as above
    findings += compare_totals(kept, real)
    findings += await _given(connection)
    findings += check_sessions(await connection.fetch(SESSIONS), newest)
    return Report(len(newest), messages, findings)


async def _given(connection: Connection) -> list[str]:
    """Find positions that would be given again, and a history without a name."""
    row = await connection.fetchrow(GIVEN)
    assert row is not None  # noqa: S101 - an aggregate has a row
    position, given, named = row
    found = []
    if position > given:
        found.append(
            f"totals: the newest message has position {position}, but those up to {given} are given only"
        )
    if not named:
        found.append("the name of this history, `epoch`, is missing")
    return found
