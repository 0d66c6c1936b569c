"""The table for people and the JSON for everything else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.scenarios.scenario import Metric
from benchmarks.suite import BarOutcome, Result, judge

_BASELINE = "node"


def print_report(console: Console, results: Sequence[Result], skipped: Mapping[str, str]) -> None:
    """A table per set of columns, then the bars, what was wrong and what was left out."""
    for metrics in dict.fromkeys(result.case.metrics for result in results):
        console.print(_table(metrics, [result for result in results if result.case.metrics == metrics]))
    for outcome in judge(results):
        console.print(_bar_line(outcome))
    for result in results:
        for objection in result.objections:
            console.print(f"invalid: {result.peer.title}, {result.case.name}: {objection}", style="red", markup=False)
    for name, reason in skipped.items():
        console.print(f"skipped: {name}: {reason}", style="yellow", markup=False)


def _table(metrics: Sequence[Metric], results: Sequence[Result]) -> Table:
    table = Table(title="Medians of the rounds, lowest and highest below", title_justify="left")
    table.add_column("case")
    table.add_column("server")
    for place, metric in enumerate(metrics):
        table.add_column(metric.heading, justify="right")
        if place == 0:
            table.add_column(f"x {_BASELINE}", justify="right")
    by_case = {(result.case.name, result.peer.name): result for result in results}
    for row, result in enumerate(results):
        baseline = by_case.get((result.case.name, _BASELINE))
        last = row + 1 == len(results) or results[row + 1].case != result.case
        table.add_row(*_cells(metrics, result, baseline), end_section=last)
    return table


def _cells(metrics: Sequence[Metric], result: Result, baseline: Result | None) -> list[str]:
    cells = [result.case.name, result.peer.title]
    for place, metric in enumerate(metrics):
        spread = result.spread(metric.key)
        if spread is None:
            return [*cells, "[red]invalid[/red]"]
        cells.append(
            f"{spread.median:{metric.form}}\n[dim]{spread.low:{metric.form}}-{spread.high:{metric.form}}[/dim]"
        )
        if place == 0:
            base = baseline.spread(metric.key) if baseline else None
            cells.append(f"{spread.median / base.median:.2f}" if base else "")
    return cells


def _bar_line(outcome: BarOutcome) -> str:
    wanted = f"{outcome.case.name}: at least {outcome.bar.times:g} x {outcome.bar.rival} ({outcome.bar.metric})"
    if outcome.ratio is None:
        return f"[red]bar not judged[/red]  {wanted}: no valid figures"
    verdict = "[green]bar met[/green]" if outcome.met else "[red]bar missed[/red]"
    return f"{verdict}  {wanted}: {outcome.ratio:.2f} x"


def write_json(path: Path, facts: Mapping[str, object], results: Sequence[Result]) -> None:
    """Everything that was measured and the `facts` of the run. An invalid result has no figures in it."""
    document = {
        **facts,
        "bars": [
            {
                "case": outcome.case.name,
                "metric": outcome.bar.metric,
                "rival": outcome.bar.rival,
                "times": outcome.bar.times,
                "ratio": outcome.ratio,
                "met": outcome.met,
            }
            for outcome in judge(results)
        ],
        "results": [
            {
                "case": result.case.name,
                "peer": result.peer.name,
                "valid": not result.objections,
                "objections": result.objections,
                "metrics": {metric.key: result.spread(metric.key) for metric in result.case.metrics},
                "rounds": [measurement.values for measurement in result.rounds],
            }
            for result in results
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
