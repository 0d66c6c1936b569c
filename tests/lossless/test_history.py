"""Under load and faults at random nothing is lost, doubled or out of order: the short form of `make soak`."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import missing_for_node
from tests.lossless.disk import SmallDisk
from tests.lossless.runs import Plan, Run, count
from tests.lossless.single import SingleStage
from tests.lossless.single_faults import SingleFaults
from tests.lossless.violations import show

SECONDS = 8.0
"""Of faults, in each run."""


async def play(plan: Plan, folder: Path, disk: SmallDisk | None = None) -> dict[str, int]:
    """Play a run, which must keep every promise; its figures."""
    async with SingleStage(folder) as stage:
        run = Run(plan, stage, lambda history: [SingleFaults(stage, history, disk).line(plan.seed)])
        violations = await run.play()
    figures = count(run.history)
    print(f"seed {plan.seed}: {figures}")
    assert not violations, f"seed {plan.seed}\n{show(run.history.entries, violations)}"
    return figures


async def test_nothing_lost(tmp_path: Path) -> None:
    """Two seeds side by side, each with `kill -9` under load, cuts, half-open connections and more."""
    npm = missing_for_node() is None
    folders = {seed: tmp_path / str(seed) for seed in (1, 2)}
    for folder in folders.values():
        folder.mkdir()
    plays = (play(Plan(seed, SECONDS, pace=0.4, npm=npm), folder) for seed, folder in folders.items())
    for figure in await asyncio.gather(*plays):
        assert figure["  kill -9"] >= 1
        assert figure["acknowledged"] > 50
        assert figure["recovered by token"] + figure["recovered by Socket.IO"] > 0


async def test_full_disk(tmp_path: Path) -> None:
    """The same on a disk that is full now and then: refused sends are never seen, and service resumes."""
    disk = SmallDisk(tmp_path)
    if (reason := disk.mount()) is not None:
        pytest.skip(reason)
    try:
        figures = await play(Plan(3, SECONDS, pace=0.3, npm=False), tmp_path, disk)
    finally:
        disk.unmount()
    assert figures.get("  disk full", 0) >= 1
    assert figures.get("refused UNAVAILABLE", 0) >= 1
