"""What the clients do, by name. `DEFAULT` is what runs unless others are asked for."""

from collections.abc import Sequence

from benchmarks.scenarios import (
    big_room,
    connect_storm,
    idle_memory,
    latency,
    nodes,
    presence_storm,
    recovery_storm,
    slow_readers,
    small_rooms,
    typing_receipts,
    workers,
)
from benchmarks.scenarios.scenario import Case

SCENARIOS: dict[str, Sequence[Case]] = {
    "big-room": big_room.CASES,
    "big-room-5000": big_room.HUGE_CASES,
    "big-room-5000-more": big_room.MORE_HUGE_CASES,
    "big-room-one-sender": big_room.ONE_SENDER_CASES,
    "small-rooms": small_rooms.CASES,
    "typing-receipts": typing_receipts.CASES,
    "connect-storm": connect_storm.CASES,
    "idle-memory": idle_memory.CASES,
    "latency": latency.CASES,
    "recovery-storm": recovery_storm.CASES,
    "presence-storm": presence_storm.CASES,
    "slow-readers": slow_readers.CASES,
    "nodes": nodes.CASES,
    "nodes-idle": idle_memory.SEVERAL_NODES_CASES,
    "workers": workers.CASES,
}
DEFAULT = tuple(name for name in SCENARIOS if name not in {"big-room-5000-more", "big-room-one-sender"})
