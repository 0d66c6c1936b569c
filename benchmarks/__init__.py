"""The benchmark suite: hubbub and its peers, side by side in one run on one machine.

A scenario (`scenarios/`) says what the clients do, a peer (`peers/`) is a server that they do it to, the load
generator (`load/`, a process of its own on a core of its own) does it and checks every delivery. The suite
(`suite.py`) runs them in interleaved rounds, `report.py` and `plots.py` show what was found.
How to read and repeat the figures: `benchmarks/README.md`.
"""
