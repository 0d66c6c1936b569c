"""hubbub on one machine as it runs on many: PostgreSQL, Valkey, nodes and a balancer, all from pinned wheels.

`python -m tools.cluster` (`make run-cluster`) runs them together; tests start the servers one by one. Nothing
here needs Docker, root, or pytest.
"""
