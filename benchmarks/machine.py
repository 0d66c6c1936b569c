"""The facts without which a figure means nothing: the machine, its disk, how quiet it was."""

import os
import platform
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

_SYNCS = 50


def facts(work: Path) -> dict[str, object]:
    """Processor, cores, memory, kernel, load, the file system that the servers write to and its fsync."""
    return {
        "processor": _first("/proc/cpuinfo", "model name"),
        "cores": sorted(os.sched_getaffinity(0)),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_average": os.getloadavg()[0],
        "file_system": _file_system(work),
        "fdatasync_milliseconds": round(_sync_seconds(work) * 1000, 3),
    }


def command() -> str:
    """How this run can be repeated."""
    return shlex.join(("python", "-m", "benchmarks", *sys.argv[1:]))


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _first(path: str, key: str) -> str:
    """The value of the first `key: value` line."""
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def _file_system(folder: Path) -> str:
    """The type of the mount that `folder` is on: the longest mount point above it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1]


def _sync_seconds(folder: Path) -> float:
    """The median of small writes, each made durable."""
    trial = folder / "fdatasync"
    times = []
    with trial.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    trial.unlink()
    return sorted(times)[_SYNCS // 2]
