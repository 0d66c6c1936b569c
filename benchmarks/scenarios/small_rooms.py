"""Many small rooms in which everyone sends: what a message costs, with its commit and its ack."""

from benchmarks.scenarios.rooms import small_rooms
from benchmarks.scenarios.scenario import Bar

FORTY = small_rooms(40, Bar("messages_per_second", "node", 1.3, 1.6))
CASES = (FORTY, small_rooms(400))
