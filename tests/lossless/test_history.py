"""Under load and faults at random nothing is lost, doubled or out of order: the short form of `make soak`."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import missing_for_node
from tests.lossless.runs import Plan, Run, count
from tests.lossless.stage import SmallDisk
from tests.lossless.violations import show

SECONDS = 8.0
"""Of faults, in each run."""


async def play(plan: Plan, folder: Path) -> dict[str, int]:
    """Play a run, which must keep every promise; its figures."""
    run = Run(plan, folder)
    violations = await run.play()
    figures = count(run.history)
    print(f"seed {plan.seed}: {figures}")
    assert not violations, f"seed {plan.seed}\n{show(run.history.entries, violations)}"
    return figures


@pytest.mark.parametrize("seeds", [(1, 2), (3, 4)], ids=str)
async def test_nothing_lost(seeds: tuple[int, int], tmp_path: Path) -> None:
    """Two seeds side by side, each with `kill -9` under load, cuts, half-open connections and more."""
    npm = missing_for_node() is None
    folders = [tmp_path / str(seed) for seed in seeds]
    for folder in folders:
        folder.mkdir()
    plans = [Plan(seed, SECONDS, pace=0.4, npm=npm) for seed in seeds]
    figures = await asyncio.gather(*(play(plan, folder) for plan, folder in zip(plans, folders, strict=True)))
    for figure in figures:
        assert figure["  kill -9"] >= 1
        assert figure["acknowledged"] > 50
        assert figure["recovered by token"] + figure["recovered by Socket.IO"] > 0


async def test_full_disk(tmp_path: Path) -> None:
    """The same on a disk that is full now and then: refused sends are never seen, and service resumes."""
    disk = SmallDisk(tmp_path)
    if (reason := disk.mount()) is not None:
        pytest.skip(reason)
    try:
        figures = await play(Plan(5, SECONDS, pace=0.3, npm=False, disk=disk), tmp_path)
    finally:
        disk.unmount()
    assert figures["  disk full"] >= 1
    assert figures["refused UNAVAILABLE"] >= 1
