"""`python -m benchmarks`: run the suite, show its progress, print the tables, write the results."""

import argparse
import os
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import machine
from benchmarks.peers import PEERS
from benchmarks.peers.peer import Peer
from benchmarks.processes import ROOT, descriptors
from benchmarks.report import fact_lines, markdown, print_report, write_json
from benchmarks.scenarios import DEFAULT, SCENARIOS
from benchmarks.scenarios.scenario import Case, Measurement
from benchmarks.suite import Result, Schedule, run

_NARROWEST = 120
"""Columns that the widest table needs."""
_RESULTS = ROOT / "benchmarks" / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one short round: does it run, not how fast is it"
    )
    parser.add_argument(
        "--list", action="store_true", help="name scenarios, cases and peers, and measure nothing"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds (3)")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="measured in each round (3)")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this one; may be repeated")
    parser.add_argument(
        "--scenario", action="append", choices=SCENARIOS, help="only this one; may be repeated"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.seconds <= 0:
        parser.error("--rounds and --seconds must be above zero")
    return arguments


def _schedule(arguments: argparse.Namespace, peers: tuple[Peer, ...], work: Path) -> Schedule:
    cores = sorted(os.sched_getaffinity(0))
    apart = len(cores) > 1
    return Schedule(
        peers=peers,
        cases=tuple(case for name in arguments.scenario or DEFAULT for case in SCENARIOS[name]),
        rounds=1 if arguments.quick else arguments.rounds,
        warm=0.5 if arguments.quick else 1.0,
        measure=1.0 if arguments.quick else arguments.seconds,
        server_core=cores[0] if apart else None,
        load_core=cores[1] if apart else None,
        share=0.1 if arguments.quick else 1.0,
        work=work,
    )


def _run(console: Console, schedule: Schedule) -> list[Result]:
    """The suite with a bar for its progress, and a line for every measurement."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        task = progress.add_task("", total=schedule.measurements)

        def tell(peer: Peer, case: Case, number: int, phase: str) -> None:
            progress.update(task, description=f"round {number}: {peer.title}, {case.name}: {phase}")

        def record(peer: Peer, case: Case, number: int, measurement: Measurement) -> None:
            found = ", ".join(
                f"{measurement.values[metric.key]:{metric.form}} {metric.heading}"
                for metric in case.metrics
                if metric.key in measurement.values
            )
            line = found or f"DOES NOT COUNT: {'; '.join(measurement.problems)}"
            console.print(
                f"round {number}: {peer.title}, {case.name}: {line}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            progress.advance(task)

        return run(schedule, tell, record)


def _facts(schedule: Schedule, skipped: dict[str, str]) -> dict[str, object]:
    """What the JSON says beside the figures."""
    return {
        "command": machine.command(),
        "began": machine.now(),
        "machine": machine.facts(schedule.work),
        "versions": {peer.name: peer.versions() for peer in schedule.peers},
        "conditions": {
            "rounds": schedule.rounds,
            "warm_seconds": schedule.warm,
            "measured_seconds": schedule.measure,
            "server_core": schedule.server_core,
            "load_core": schedule.load_core,
            "open_files": descriptors(),
            "share_of_clients": schedule.share,
        },
        "skipped": skipped,
    }


def _list(console: Console) -> None:
    """What there is to measure."""
    for name, cases in SCENARIOS.items():
        console.print(f"{name}{'' if name in DEFAULT else '  (only when asked for)'}", style="bold")
        for case in cases:
            peers = [peer for peer in PEERS if peer not in dict(case.without)]
            console.print(f"    {case.name}: {', '.join(peers)}", highlight=False, soft_wrap=True)
    for peer in PEERS.values():
        console.print(f"{peer.name}: {peer.missing() or 'ready'}", highlight=False, soft_wrap=True)


def _write(folder: Path, facts: dict[str, object], results: list[Result], skipped: dict[str, str]) -> str:
    """JSON, Markdown and plots; what there is to say about it."""
    write_json(folder / "results.json", facts, results)
    (folder / "results.md").write_text(markdown(facts, results, skipped))
    where = f"written to {folder.relative_to(ROOT)}"
    if find_spec("matplotlib") is None:
        return f"{where}, without plots: matplotlib is not installed here; `make bench` does it"
    plots = import_module("benchmarks.plots")
    for name, cases in SCENARIOS.items():
        if mine := [result for result in results if result.case in cases]:
            plots.draw(folder / f"{name}.svg", name, mine, fact_lines(facts))
    return where


def _unfit() -> str | None:
    """Why nothing can be measured on this machine."""
    if not Path("/proc/self/schedstat").exists():
        return "The benchmarks need Linux: CPU times and cores come from its kernel's accounting."
    return None


def main() -> int:
    """Run what was asked for; 1 when a result is invalid or there is none."""
    arguments = _arguments()
    console = Console()
    if console.width < _NARROWEST:
        console = Console(width=_NARROWEST)
    if arguments.list:
        _list(console)
        return 0
    if problem := _unfit():
        console.print(problem)
        return 1
    asked = [PEERS[name] for name in dict.fromkeys(arguments.peer or PEERS)]
    skipped = {peer.name: reason for peer in asked if (reason := peer.missing())}
    folder = _RESULTS / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix=".work-", dir=_RESULTS) as work:
        schedule = _schedule(arguments, tuple(peer for peer in asked if peer.name not in skipped), Path(work))
        facts = _facts(schedule, skipped)
        if schedule.load_core is None:
            console.print("There is one core here: server and load share it, and the figures say little.")
        else:
            os.sched_setaffinity(0, {schedule.load_core})
        results = _run(console, schedule)
    print_report(console, results, skipped)
    console.print(_write(folder, facts, results, skipped))
    return 1 if not results or any(result.objections for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
