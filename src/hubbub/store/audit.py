"""The audit of a database: whether what is kept twice agrees, and every number is where it belongs.

    a snapshot -> SQLite's own check -> chat by chat: numbers, counts, members, receipts -> totals, sessions

It changes nothing and a server may go on meanwhile. Memory holds one chat's members and receipts at a time.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from hubbub.store import records
from hubbub.store.audited_chat import ChatAudit
from hubbub.store.snapshot import Progress, damage, snapshot

CHATS: Final = "SELECT id, last_seq, last_activity, created_at, member_count FROM chats ORDER BY id"
COUNTERS: Final = "SELECT users, messages, delivered, read FROM counters WHERE id = 1"
USERS: Final = "SELECT count(*) FROM users"
SUMS: Final = """
    SELECT count(*), coalesce(sum(delivered_count), 0), coalesce(sum(read_count), 0) FROM messages
"""
POSITIONS: Final = """
    SELECT coalesce(max(position), 0),
        (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'messages'),
        (SELECT min(position) FROM main.tail)
    FROM main.messages
"""
# What the indexes forbid in either part of the log, but not between the two; then the tail cannot be folded.
CLASHES: Final = """
    SELECT count(*) FROM main.tail t WHERE EXISTS (SELECT 1 FROM main.messages m WHERE m.id = t.id)
    OR EXISTS (SELECT 1 FROM messages m WHERE m.position <> t.position AND m.chat_id = t.chat_id
        AND m.user_id = t.user_id AND m.client_message_id = t.client_message_id)
"""
SESSIONS: Final = "SELECT user_id, positions FROM sessions ORDER BY user_id, id"
EPOCH: Final = "SELECT count(*) FROM meta WHERE name = 'epoch' AND value <> ''"

_positions = msgspec.json.Decoder(dict[str, int])


class Report(msgspec.Struct, frozen=True):
    """How much was looked at, and what was found wrong, one line each."""

    chats: int
    messages: int
    findings: list[str]


def audit(path: Path, progress: Progress) -> Report:
    """Look through a whole database. Raises `StoreUnusable` for a file that is none of this version.

    Of one that SQLite finds damaged nothing else is said: it could be nonsense.
    """
    with snapshot(path, this_version=True) as raw:
        findings = damage(raw, progress)
        if findings:
            return Report(0, 0, findings)
        return _look_through(raw, progress)


def _look_through(raw: sqlite3.Connection, progress: Progress) -> Report:
    findings: list[str] = []
    newest: dict[str, int] = {}
    messages = 0
    total = raw.execute(COUNTERS).fetchone()[1]
    for row in raw.execute(CHATS):
        chat = ChatAudit(*row)
        for done in chat.read(raw):
            progress("looking through the chats", messages + done, max(total, messages + done))
        findings += chat.findings()
        messages += chat.count
        newest[chat.id] = chat.last_seq
    findings += [*_totals(raw), *check_sessions(raw.execute(SESSIONS), newest)]
    return Report(len(newest), messages, findings)


def _totals(raw: sqlite3.Connection) -> Iterator[str]:
    users = raw.execute(USERS).fetchone()[0]
    yield from compare_totals(raw.execute(COUNTERS).fetchone(), (users, *raw.execute(SUMS).fetchone()))
    yield from _tail(raw)
    if not raw.execute(EPOCH).fetchone()[0]:
        yield "the name of this history, `epoch`, is missing"


def compare_totals(kept: Iterable[int], real: Iterable[int]) -> Iterator[str]:
    """Find totals that are not what there is: users, messages, delivered and read receipts."""
    names = ("users", "messages", "delivered receipts", "read receipts")
    for name, total, count in zip(names, kept, real, strict=True):
        if total != count:
            yield f"totals: {total} {name}, but there are {count}"


def _tail(raw: sqlite3.Connection) -> Iterator[str]:
    position, reserved, first = raw.execute(POSITIONS).fetchone()
    if position > reserved:
        yield f"totals: the newest message has position {position}, but those up to {reserved} are given only"
    if first is not None and first <= reserved:
        yield f"the tail begins with position {first}, but those up to {reserved} are given already"
    clashes = raw.execute(CLASHES).fetchone()[0]
    if clashes:
        yield f"messages in the tail with the id or client id of another: {clashes}"


def check_sessions(rows: Iterable[Iterable[Any]], newest: dict[str, int]) -> Iterator[str]:
    """Find recovery sessions (rows of `SESSIONS`) that are nowhere, or beyond a chat's newest message."""
    for user_id, text in rows:
        try:
            positions = _positions.decode(text)
        except msgspec.MsgspecError:
            yield f"user {user_id}: a recovery session has malformed positions"
            continue
        for chat_id, seq in positions.items():
            if chat_id not in newest:
                yield f"user {user_id}: a recovery session is in chat {chat_id}, which is not there"
            elif seq != records.VOID and not 0 <= seq <= newest[chat_id]:
                yield (
                    f"user {user_id}: a recovery session is at message {seq} of chat {chat_id}, "
                    f"whose newest is {newest[chat_id]}"
                )
