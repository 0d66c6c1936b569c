"""The table for people and the JSON for everything else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.scenarios.scenario import Case
from benchmarks.suite import BarOutcome, Result, judge

_BASELINE = "node"


def print_report(console: Console, results: Sequence[Result], skipped: Mapping[str, str]) -> None:
    """A table per case, then the bars, what was wrong and what was left out."""
    for case in dict.fromkeys(result.case for result in results):
        console.print(_table(case, [result for result in results if result.case == case]), "")
    for outcome in judge(results):
        console.print(_bar_line(outcome), soft_wrap=True)
    for result in results:
        left_out, style = ("invalid", "red") if result.objections else ("left out", "yellow")
        for problem in result.objections or result.disturbances:
            line = f"{left_out}: {result.peer.title}, {result.case.name}: {problem}"
            console.print(line, style=style, markup=False, soft_wrap=True)
    for name, reason in skipped.items():
        console.print(f"skipped: {name}: {reason}", style="yellow", markup=False, soft_wrap=True)


def _table(case: Case, results: Sequence[Result]) -> Table:
    """A row per server; below a median how far the farthest round was off."""
    table = Table(title=case.name, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("server", no_wrap=True)
    for place, metric in enumerate(case.metrics):
        table.add_column(metric.heading, justify="right", no_wrap=True)
        if place == 0:
            table.add_column(f"x {_BASELINE}", justify="right", no_wrap=True)
    baseline = next((result for result in results if result.peer.name == _BASELINE), None)
    for result in results:
        table.add_row(*_cells(result, baseline))
    return table


def _cells(result: Result, baseline: Result | None) -> list[str]:
    cells = [result.peer.title]
    for place, metric in enumerate(result.case.metrics):
        spread = result.spread(metric.key)
        if spread is None:
            return [*cells, "[red]invalid[/red]"]
        cells.append(f"{spread.median:{metric.form}}")
        if metric.ranged and len(result.rounds) > 1:
            off = max(spread.high - spread.median, spread.median - spread.low) / spread.median
            cells[-1] += f"\n[dim]±{off:.1%}[/dim]"
        if place == 0:
            base = baseline.spread(metric.key) if baseline else None
            cells.append(f"{spread.median / base.median:.2f}" if base else "")
    return cells


def _bar_line(outcome: BarOutcome) -> str:
    bar, bound = outcome.bar, "at most" if outcome.less else "at least"
    further = f", beyond {bar.beyond:g}" if bar.beyond is not None else ""
    wanted = f"{outcome.case.name}: {bound} {bar.times:g} x {bar.rival} ({bar.metric}){further}"
    if outcome.ratio is None:
        return f"[red]bar not judged[/red]  {wanted}: no valid figures"
    verdict = "[green]bar met[/green]" if outcome.met else "[red]bar missed[/red]"
    if outcome.beyond:
        verdict = "[bold green]beyond the bar[/bold green]"
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
                "beyond": outcome.bar.beyond,
                "less_is_better": outcome.less,
                "ratio": outcome.ratio,
                "met": outcome.met,
                "beyond_met": outcome.beyond,
            }
            for outcome in judge(results)
        ],
        "results": [
            {
                "case": result.case.name,
                "peer": result.peer.name,
                "valid": not result.objections,
                "objections": result.objections,
                "disturbances": result.disturbances,
                "metrics": {metric.key: result.spread(metric.key) for metric in result.case.metrics},
                "rounds": [
                    None if measurement.problems else measurement.values for measurement in result.rounds
                ],
            }
            for result in results
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
