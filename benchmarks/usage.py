"""CPU time of a process by the kernel's accounting (Linux: proc(5))."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds since the process began, all of its threads together.

    `cpu` is user plus system time, to the kernel's tick (usually 10 ms). `waited` is how long it could have
    run but had no core: on a core of its own it stays near zero unless its own threads contend.
    """

    cpu: float
    waited: float

    @classmethod
    def of(cls, process: int) -> "Usage":
        """What process `process` has used. Raises ProcessLookupError when there is no such process."""
        proc = Path("/proc") / str(process)
        try:
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            waits = [int((task / "schedstat").read_text().split()[1]) for task in (proc / "task").iterdir()]
        except FileNotFoundError as error:
            raise ProcessLookupError(f"process {process} has ended") from error
        return cls((int(fields[11]) + int(fields[12])) * _TICK, sum(waits) / 1e9)
