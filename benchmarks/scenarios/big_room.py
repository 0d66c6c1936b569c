"""Everybody in one room: what a delivery costs."""

from benchmarks.scenarios.rooms import big_room
from benchmarks.scenarios.scenario import Bar

CASES = (
    big_room(500, 1, Bar("cpu_microseconds_per_delivery", "floor", 1.3, 1.1)),
    big_room(500, 4, Bar("deliveries_per_second", "node", 2.5, 3)),
    big_room(500, 16),
    big_room(500, 64, Bar("deliveries_per_second", "node", 10, 15)),
)
HUGE_CASES = (big_room(5000, 1, rounds=1), big_room(5000, 16, rounds=1))
MORE_HUGE_CASES = (big_room(5000, 4, rounds=1), big_room(5000, 64, rounds=1))
ONE_SENDER_CASES = (big_room(500, 4, one_sender=True), big_room(500, 64, one_sender=True))
