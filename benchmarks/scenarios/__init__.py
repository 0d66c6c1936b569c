"""What the clients do, by name. `DEFAULT` is what runs unless others are asked for."""

from collections.abc import Sequence

from benchmarks.scenarios import big_room, connect_storm, idle_memory, small_rooms
from benchmarks.scenarios.scenario import Case

SCENARIOS: dict[str, Sequence[Case]] = {
    "big-room": big_room.CASES,
    "big-room-5000": big_room.HUGE_CASES,
    "big-room-one-sender": big_room.ONE_SENDER_CASES,
    "small-rooms": small_rooms.CASES,
    "connect-storm": connect_storm.CASES,
    "idle-memory": idle_memory.CASES,
}
DEFAULT = tuple(name for name in SCENARIOS if name != "big-room-one-sender")
