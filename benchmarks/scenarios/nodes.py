"""Two nodes with a Valkey between them, all on one core: what a delivery costs there."""

from benchmarks.scenarios.rooms import several_nodes
from benchmarks.scenarios.scenario import Bar

CASES = (
    several_nodes(1000, 1),
    several_nodes(1000, 64, Bar("deliveries_per_second", "node", 5)),
)
