"""The leases of the nodes, and what is done when one ends: plans for the registry in Valkey.

A lease ends at a time of Valkey's clock. Whoever finds that a node's has ended takes its fence away: from
then on nothing that the node still writes takes hold, until it has registered under a new name.
"""

import secrets
from typing import Final

from hubbub.cluster.valkey.batches import Change, Look, Plan
from hubbub.cluster.valkey.keys import Keys, decode_gone
from hubbub.cluster.valkey.line import Command
from hubbub.cluster.valkey.plans import milliseconds

LEASE: Final = 5.0
"""Seconds that a node may be silent."""

_CLAIM: Final = 5000
"""Milliseconds after which another node takes over what one has begun to clear away."""


def register(keys: Keys, node: str, place: bytes | None) -> Plan[bytes]:
    """Begin a lease; return the registry's epoch. `place` is where the others find the node."""
    (time,) = yield Look([("TIME",)])
    replies = yield Change(
        [
            ("SET", keys.of_node(node, "fence"), 1),
            *_told_place(keys, node, place),
            ("ZADD", keys("nodes"), milliseconds(time) + round(LEASE * 1000), node),
            ("SETNX", keys("epoch"), secrets.token_hex(8)),
            ("GET", keys("epoch")),
        ]
    )
    epoch: bytes = replies[-1]
    return epoch


def renew(keys: Keys, node: str, place: bytes | None, seen: dict[str, int]) -> Plan[bool]:
    """Prolong a lease, and note when users were last seen; False when the lease is over."""
    fence = keys.of_node(node, "fence")
    held, time = yield Look([("EXISTS", fence), ("TIME",)], watch=(fence,))
    if not held:
        return False
    changes: list[Command] = [
        ("ZADD", keys("nodes"), milliseconds(time) + round(LEASE * 1000), node),
        *_told_place(keys, node, place),
    ]
    if seen:
        flat = [part for user_id, at in seen.items() for part in (user_id, at)]
        changes.append(("HSET", keys("seen"), *flat))
    yield Change(changes)
    return True


def release(keys: Keys, node: str) -> Plan[None]:
    """End a lease now, for a node that stops; what it leaves is cleared away as if it had died."""
    yield Change([("ZADD", keys("nodes"), "XX", 0, node), ("DEL", keys.of_node(node, "place"))])


def _told_place(keys: Keys, node: str, place: bytes | None) -> list[Command]:
    if place is None:
        return []
    return [("SET", keys.of_node(node, "place"), place, "PX", round(LEASE * 1000))]


def places(keys: Keys) -> Plan[dict[str, bytes]]:
    """Return where the nodes are that can be found, by the names that they keep when their lease is new."""
    names = yield from alive(keys)
    if not names:
        return {}
    (values,) = yield Look([("MGET", *(keys.of_node(name, "place") for name in names))])
    return {
        name.rpartition(".")[0]: value for name, value in zip(names, values, strict=True) if value is not None
    }


def claim(keys: Keys, node: str) -> Plan[list[str]]:
    """Take on the nodes whose leases are over, or whose clearing away was left undone; return them."""
    watch = (keys("nodes"), keys("reaping"))
    (time,) = yield Look([("TIME",)])
    now = milliseconds(time)
    ended, undone = yield Look(
        [
            ("ZRANGE", keys("nodes"), "-inf", now, "BYSCORE"),
            ("ZRANGE", keys("reaping"), "-inf", now - _CLAIM, "BYSCORE"),
        ],
        watch=watch,
    )
    dead = [name.decode() for name in (*ended, *undone) if name.decode() != node]
    changes: list[Command] = []
    for name in dead:
        changes += [
            ("ZREM", keys("nodes"), name),
            ("DEL", keys.of_node(name, "fence")),
            ("ZADD", keys("reaping"), now, name),
        ]
    if changes:
        yield Change(changes)
    return dead


def estate(keys: Keys, node: str) -> Plan[tuple[list[str], list[str], list[str]]]:
    """Return what a dead node had to answer for: users, places and typing."""
    names = ("users", "places", "types")
    replies = yield Look([("SMEMBERS", keys.of_node(node, name)) for name in names])
    users, places, types = ([member.decode() for member in members] for members in replies)
    return users, places, types


def bury(keys: Keys, node: str) -> Plan[None]:
    """Forget a dead node, once there is nothing left of it."""
    yield Change([("ZREM", keys("reaping"), node)])


def alive(keys: Keys) -> Plan[list[str]]:
    """Return the names of all nodes."""
    (names,) = yield Look([("ZRANGE", keys("nodes"), 0, -1)])
    return [name.decode() for name in names]


def orphans(keys: Keys, age: float) -> Plan[list[tuple[str, int]]]:
    """Return users without sockets for `age` seconds whom nobody forgets, with their departures; once."""
    (time,) = yield Look([("TIME",)])
    now = milliseconds(time)
    (ids,) = yield Look(
        [("ZRANGE", keys("leaving"), "-inf", now - round(age * 1000), "BYSCORE")], watch=(keys("leaving"),)
    )
    if not ids:
        return []
    (rows,) = yield Look([("HMGET", keys("gone"), *ids)])
    yield Change([("ZADD", keys("leaving"), "XX", *(part for one in ids for part in (now, one)))])
    return [
        (one.decode(), decode_gone(row).number) for one, row in zip(ids, rows, strict=True) if row is not None
    ]
