"""The stretch of time that is measured: what it took the server and the load generator."""

import time

from benchmarks.load.plan import Effort, Endpoint
from benchmarks.usage import Usage


class Meter:
    """Begins when it is made. `own` is the process id of the load generator."""

    def __init__(self, endpoint: Endpoint, own: int) -> None:
        self._groups = (endpoint.processes, (own,))
        self._began = time.monotonic()
        self._before = [Usage.of_all(group) for group in self._groups]

    def read(self) -> Effort:
        """What it has taken since. Raises ProcessLookupError when the server has ended."""
        server, own = (
            Usage(now.cpu - then.cpu, now.waited - then.waited, now.core - then.core)
            for now, then in zip(map(Usage.of_all, self._groups), self._before, strict=True)
        )
        return Effort(
            seconds=time.monotonic() - self._began,
            server_cpu=server.cpu,
            server_waited=server.waited,
            own_cpu=own.cpu,
            own_waited=own.waited,
            taken=max(0.0, server.core - server.cpu),
        )
