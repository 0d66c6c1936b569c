"""What is done to the registry in Valkey: users, rooms, typing; each plan is atomic.

A node writes absolute values about its own sockets, under its own name: doing a thing twice is doing it once.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from hubbub.cluster.base import Occupancy, PresentUser, TypingEntry
from hubbub.cluster.valkey import views
from hubbub.cluster.valkey.batches import Change, Look, Plan
from hubbub.cluster.valkey.keys import (
    SEPARATOR,
    Entry,
    Gone,
    Keys,
    TypingRecord,
    decode_entry,
    decode_typing,
    encode,
)
from hubbub.cluster.valkey.line import Command, Reply

MISSING = "missing"
"""The answer to `forget` where the user is not there at all."""

_NUMBERS = 2**53


@dataclass(frozen=True, slots=True)
class Person:
    """How a user stands after a node has said what it knows.

    `first`: was not present before. `departure`: the number, when no node has a socket any more.
    """

    first: bool = False
    departure: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """A room after a node has said how many sockets of a user it has there, and the user's name."""

    occupancy: Occupancy
    username: str | None


def milliseconds(time: Reply) -> int:
    """Return the answer to TIME."""
    return int(time[0]) * 1000 + int(time[1]) // 1000


def person(
    keys: Keys, node: str, user_id: str, user: Callable[[], PresentUser | None], seen: int | None
) -> Plan[Person]:
    """Say which sockets of a user a node has now; `seen` is the last activity, if that is news."""
    user_key, mine = keys("user", user_id), keys.of_node(node, "users")
    now = user()
    if now is not None:
        (before,) = yield Look([("HGET", keys("seen"), user_id)])
        replies = yield Change(
            [
                ("HSET", user_key, node, encode(Entry.of(now))),
                ("ZADD", keys("users"), 0, user_id),
                ("ZREM", keys("leaving"), user_id),
                ("SADD", mine, user_id),
                ("HSET", keys("seen"), user_id, max(now.last_seen, int(before or 0))),
            ]
        )
        return Person(first=replies[1] == 1)
    held, time = yield Look([("HGETALL", user_key), ("TIME",)], watch=(user_key,))
    entries = _pairs(held)
    entry = entries.pop(node, None)
    if entry is None:
        return Person()
    removal: list[Command] = [("HDEL", user_key, node), ("SREM", mine, user_id)]
    if seen is not None:
        removal.append(("HSET", keys("seen"), user_id, seen))
    if entries:
        yield Change(removal)
        return Person()
    number = secrets.randbelow(_NUMBERS)
    gone = Gone(number=number, entry=decode_entry(entry))
    yield Change(
        [
            *removal,
            ("HSET", keys("gone"), user_id, encode(gone)),
            ("ZADD", keys("leaving"), milliseconds(time), user_id),
        ]
    )
    return Person(departure=number)


def forget(keys: Keys, user_id: str, departure: int) -> Plan[PresentUser | str | None]:
    """End a presence, if that departure is still the last word; `MISSING` when there is no such user."""
    user_key = keys("user", user_id)
    held, score = yield Look([("EXISTS", user_key), ("ZSCORE", keys("users"), user_id)], watch=(user_key,))
    if score is None:
        return MISSING
    ((user, number),) = yield from views.people(keys, [user_id])
    if held or number != departure or user is None:
        return None
    replies = yield Change(
        [
            ("ZREM", keys("users"), user_id),
            ("ZREM", keys("leaving"), user_id),
            ("HDEL", keys("gone"), user_id),
            ("HDEL", keys("seen"), user_id),
            ("SREM", keys("away"), user_id),
            ("SREM", keys("busy"), user_id),
        ]
    )
    # Of two nodes at the same time, the first.
    return user if replies[0] else None


def status(keys: Keys, user_id: str, chosen: str) -> Plan[str | None]:
    """Set a present user's status; return the one before."""
    user_key = keys("user", user_id)
    score, away, busy = yield Look(
        [
            ("ZSCORE", keys("users"), user_id),
            ("SISMEMBER", keys("away"), user_id),
            ("SISMEMBER", keys("busy"), user_id),
        ],
        watch=(user_key,),
    )
    if score is None:
        return None
    changes: list[Command] = [("SREM", keys(other), user_id) for other in ("away", "busy") if other != chosen]
    if chosen != views.ONLINE:
        changes.append(("SADD", keys(chosen), user_id))
    yield Change(changes)
    return views.status_of(away, busy)


def place(keys: Keys, node: str, chat_id: str, user_id: str, devices: Callable[[], int]) -> Plan[Left]:
    """Say how many sockets of a user a node has in a room."""
    key = keys.place(chat_id, user_id)
    held, entry = yield Look([("HGETALL", key), ("HGET", keys("user", user_id), node)], watch=(key,))
    counts = {name: int(count) for name, count in _pairs(held).items()}
    before, count = counts.pop(node, 0), devices()
    elsewhere = sum(counts.values())
    mine, member = keys.of_node(node, "places"), f"{chat_id}{SEPARATOR}{user_id}"
    changes: list[Command]
    if count:
        changes = [
            ("HSET", key, node, count),
            ("ZADD", keys("in", chat_id), 0, user_id),
            ("SADD", mine, member),
        ]
    else:
        changes = [("HDEL", key, node), ("SREM", mine, member)]
        if not elsewhere:
            changes.append(("ZREM", keys("in", chat_id), user_id))
    replies = yield Change([*changes, ("ZCARD", keys("in", chat_id))])
    occupancy = Occupancy(online=replies[-1], devices=elsewhere + count, changed=count != before)
    return Left(occupancy, None if entry is None else decode_entry(entry).newest.username)


def start_typing(keys: Keys, node: str, entry: TypingEntry, at: int) -> Plan[bool]:
    """Note that a user is typing; `at` puts the typists of a chat in order."""
    record = encode(TypingRecord(entry=entry, node=node))
    replies = yield Change(
        [
            ("HSETNX", keys("types", entry.user_id), entry.chat_id, record),
            ("ZADD", keys("typing", entry.chat_id), "NX", at, entry.user_id),
            ("SADD", keys("typists"), entry.user_id),
            ("SADD", keys.of_node(node, "types"), f"{entry.chat_id}{SEPARATOR}{entry.user_id}"),
        ]
    )
    return bool(replies[0])


def stop_typing(keys: Keys, chat_id: str, user_id: str, only: str | None = None) -> Plan[TypingEntry | None]:
    """Note that a user has stopped, if it was by a socket of the node `only`; return what was known."""
    key = keys("types", user_id)
    held, chats = yield Look([("HGET", key, chat_id), ("HLEN", key)], watch=(key,))
    if held is None:
        return None
    record = decode_typing(held)
    member = f"{chat_id}{SEPARATOR}{user_id}"
    if only not in {None, record.node}:
        yield Change([("SREM", keys.of_node(only or "", "types"), member)])
        return None
    changes: list[Command] = [
        ("HDEL", key, chat_id),
        ("ZREM", keys("typing", chat_id), user_id),
        ("SREM", keys.of_node(record.node, "types"), member),
    ]
    if chats == 1:
        changes.append(("SREM", keys("typists"), user_id))
    yield Change(changes)
    return record.entry


def _pairs(flat: list[bytes]) -> dict[str, bytes]:
    """Return the answer to HGETALL."""
    return {flat[index].decode(): flat[index + 1] for index in range(0, len(flat), 2)}
