"""What is read from the registry in Valkey."""

from typing import Final

from hubbub.cluster.base import PresentUser, StatusCounts, TypingEntry
from hubbub.cluster.valkey.batches import Look, Plan
from hubbub.cluster.valkey.keys import Keys, decode_entry, decode_gone, decode_typing
from hubbub.cluster.valkey.line import Command, Reply

ONLINE: Final = "online"
"""The status of whoever has not chosen another one."""


def status_of(away: Reply, busy: Reply) -> str:
    """Return the status that membership in the two sets means."""
    if away:
        return "away"
    return "busy" if busy else ONLINE


def people(keys: Keys, user_ids: list[str]) -> Plan[list[tuple[PresentUser | None, int | None]]]:
    """Return users as they are known, each with the last departure of one who has no sockets."""
    if not user_ids:
        return []
    commands: list[Command] = [
        ("SMISMEMBER", keys("away"), *user_ids),
        ("SMISMEMBER", keys("busy"), *user_ids),
        ("HMGET", keys("seen"), *user_ids),
        ("HMGET", keys("gone"), *user_ids),
        *(("HVALS", keys("user", user_id)) for user_id in user_ids),
    ]
    away, busy, seen, gone, *held = yield Look(commands)
    found: list[tuple[PresentUser | None, int | None]] = []
    for index, rows in enumerate(held):
        departure = None if gone[index] is None else decode_gone(gone[index])
        entries = [decode_entry(row) for row in rows]
        if not entries and departure is not None:
            entries = [departure.entry]
        if not entries:
            found.append((None, None))
            continue
        newest = entries[0].newest
        for entry in entries[1:]:
            if entry.newest.connected_at > newest.connected_at:
                newest = entry.newest
        user = PresentUser(
            user_id=newest.user_id,
            username=newest.username,
            email=newest.email,
            status=status_of(away[index], busy[index]),
            last_seen=max(int(seen[index] or 0), newest.connected_at),
            connected_at=min(entry.connected_at for entry in entries),
            newest=newest,
        )
        found.append((user, None if departure is None else departure.number))
    return found


def page(keys: Keys, key: str, after: str, limit: int) -> Plan[list[PresentUser]]:
    """Return the users of an ordered set behind an id."""
    start = f"({after}" if after else "-"
    (ids,) = yield Look([("ZRANGE", key, start, "+", "BYLEX", "LIMIT", 0, limit)])
    found = yield from people(keys, [user_id.decode() for user_id in ids])
    return [user for user, _ in found if user is not None]


def user(keys: Keys, user_id: str) -> Plan[PresentUser | None]:
    """Return a present user."""
    (score,) = yield Look([("ZSCORE", keys("users"), user_id)])
    if score is None:
        return None
    ((found, _),) = yield from people(keys, [user_id])
    return found


def among(keys: Keys, user_ids: list[str], limit: int) -> Plan[tuple[list[PresentUser], int]]:
    """Return the first present users of some, who are in order, and how many are present."""
    if not user_ids:
        return [], 0
    (scores,) = yield Look([("ZMSCORE", keys("users"), *user_ids)])
    present = [one for one, score in zip(user_ids, scores, strict=True) if score is not None]
    found = yield from people(keys, present[:limit])
    return [user for user, _ in found if user is not None], len(present)


def count(command: Command) -> Plan[int]:
    """Return a number."""
    (number,) = yield Look([command])
    return int(number)


def counts(commands: list[Command]) -> Plan[list[int]]:
    """Return several numbers."""
    numbers = yield Look(commands)
    return [int(number) for number in numbers]


def statuses(keys: Keys) -> Plan[StatusCounts]:
    """Return how many users have which status."""
    everybody, away, busy = yield Look(
        [("ZCARD", keys("users")), ("SCARD", keys("away")), ("SCARD", keys("busy"))]
    )
    return StatusCounts(online=everybody - away - busy, away=away, busy=busy)


def typing(keys: Keys, chat_id: str) -> Plan[list[TypingEntry]]:
    """Return who is typing in a chat, the longest first."""
    (ids,) = yield Look([("ZRANGE", keys("typing", chat_id), 0, -1)])
    if not ids:
        return []
    records = yield Look([("HGET", keys("types", user_id.decode()), chat_id) for user_id in ids])
    return [decode_typing(record).entry for record in records if record is not None]
