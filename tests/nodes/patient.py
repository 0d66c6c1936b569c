"""hubbub that waits ten minutes for Valkey where it waits for a second: what waits for it at all, shows."""

from hubbub.cli import main
from hubbub.cluster.valkey import batches

PROGRAM = ("-m", "tests.nodes.patient")

if __name__ == "__main__":
    batches._DEADLINE = 600.0  # type: ignore[misc]
    main()
