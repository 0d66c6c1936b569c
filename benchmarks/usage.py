"""CPU time and memory of a process by the kernel's accounting (Linux: proc(5))."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds since the process began, all of its threads together.

    `cpu` is user plus system time, to the kernel's tick (usually 10 ms). `waited` is how long it could have
    run but had no core: on a core of its own it stays near zero unless its own threads contend. `core` is how
    long the one core that it is bound to has been busy with anything; 0 if there is no such core.
    """

    cpu: float
    waited: float
    core: float

    @classmethod
    def of_all(cls, processes: Iterable[int]) -> "Usage":
        """What processes with all their descendants have used together, on the first one's core."""
        each = [cls.of(one) for process in processes for one in _family(process)]
        return cls(sum(one.cpu for one in each), sum(one.waited for one in each), each[0].core)

    @classmethod
    def of(cls, process: int) -> "Usage":
        """What process `process` has used. Raises ProcessLookupError when there is no such process."""
        proc = Path("/proc") / str(process)
        try:
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            threads = list((proc / "task").iterdir())
        except FileNotFoundError as error:
            raise ProcessLookupError(f"the server, process {process}, has ended") from error
        cpu = (int(fields[11]) + int(fields[12])) * _TICK
        return cls(cpu, sum(map(_waited, threads)), _core_busy(os.sched_getaffinity(process)))


def _family(process: int) -> list[int]:
    """A process and its descendants at this moment."""
    found = [process]
    for one in found:
        for listed in (Path("/proc") / str(one) / "task").glob("*/children"):
            try:
                found += map(int, listed.read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended since it was listed
    return found


def _waited(thread: Path) -> float:
    try:
        return int((thread / "schedstat").read_text().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it has ended since it was listed


def _core_busy(cores: set[int]) -> float:
    if len(cores) != 1:
        return 0.0
    name = f"cpu{cores.pop()}"
    for line in Path("/proc/stat").read_text().splitlines():
        key, *ticks = line.split()
        if key == name:
            user, nice, system, _idle, _waiting_for_disk, interrupts, soft_interrupts, stolen = map(
                int, ticks[:8]
            )
            return (user + nice + system + interrupts + soft_interrupts + stolen) * _TICK
    return 0.0


def memory_of_all(processes: Iterable[int]) -> int:
    """Bytes of memory of processes and all their descendants, as `memory` tells it of one."""
    return sum(memory(one) for process in processes for one in _family(process))


def memory(process: int) -> int:
    """Bytes of memory of its own that a process holds, its share of it (`Pss_Anon`): heaps and stacks.

    Not the files that it has mapped: the kernel brings those in and drops them as it likes.
    Raises ProcessLookupError.
    """
    try:
        report = (Path("/proc") / str(process) / "smaps_rollup").read_text()
    except FileNotFoundError as error:
        raise ProcessLookupError(f"the server, process {process}, has ended") from error
    return next(int(line.split()[1]) * 1024 for line in report.splitlines() if line.startswith("Pss_Anon:"))
