"""What the clients do, by name. `DEFAULT` is what runs unless others are asked for."""

from benchmarks.scenarios import big_room
from benchmarks.scenarios.scenario import Case

SCENARIOS: dict[str, tuple[Case, ...]] = {
    "big-room": big_room.CASES,
    "big-room-one-sender": big_room.ONE_SENDER_CASES,
}
DEFAULT = ("big-room",)
