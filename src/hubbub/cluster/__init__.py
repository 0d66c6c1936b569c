"""What the nodes share and do not keep: the bus, presence, counters of the limits."""
