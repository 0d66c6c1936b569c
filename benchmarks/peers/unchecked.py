"""Rooms and users of a peer that checks nothing: a room is whatever its clients agree to call it."""

import itertools
import os
import uuid
from collections.abc import Sequence

from benchmarks.load.plan import Room
from benchmarks.peers.peer import Venue
from benchmarks.processes import ROOT, Address


def venue(address: Address) -> Venue:
    """Nothing has to be prepared at the server."""
    numbers = itertools.count()

    def users(count: int) -> tuple[dict[str, str], ...]:
        names = [f"user-{number}" for number in itertools.islice(numbers, count)]
        return tuple({"userId": name, "username": name} for name in names)

    def open_rooms(sizes: Sequence[int]) -> tuple[Room, ...]:
        return tuple(Room(str(uuid.uuid4()), users(size)) for size in sizes)

    return Venue(address, open_rooms, users)


def environment(extras: frozenset[str], **more: str) -> dict[str, str]:
    """The surroundings, and a variable for each extra."""
    wanted = {f"BENCHMARK_{extra.upper()}": "1" for extra in extras}
    return {**os.environ, "PYTHONPATH": str(ROOT), **wanted, **more}
