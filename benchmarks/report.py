"""The results for people, on the terminal and as Markdown, and as JSON for everything else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.scenarios.scenario import Case
from benchmarks.suite import Result, judge
from benchmarks.tables import bar_line, cases, headings, remarks, rows

_STYLES = {
    "bar met": "green",
    "beyond the bar": "bold green",
    "bar missed": "red",
    "bar not judged": "red",
    "invalid": "red",
    "left out": "yellow",
    "skipped": "yellow",
    "not measured": "dim",
}


def print_report(console: Console, results: Sequence[Result], skipped: Mapping[str, str]) -> None:
    """A table per case, then the bars, what was wrong and what was left out."""
    for case in cases(results):
        console.print(_table(case, results), "")
    for kind, text in (*map(bar_line, judge(results)), *remarks(results, skipped)):
        console.print(Text.assemble((kind, _STYLES[kind]), "  ", text), soft_wrap=True)


def _table(case: Case, results: Sequence[Result]) -> Table:
    table = Table(title=case.name, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings(case)):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for row in rows(case, results):
        table.add_row(*map(Text, row))
    return table


def markdown(facts: Mapping[str, object], results: Sequence[Result], skipped: Mapping[str, str]) -> str:
    """The same as a page that can be quoted, with the facts of the run in front."""
    page = ["# Benchmark results", "", *fact_lines(facts), ""]
    for case in cases(results):
        head = headings(case)
        marks = ["---", *["---:"] * (len(head) - 1)]
        page += [f"## {case.name}", "", _line(head), _line(marks)]
        page += [*map(_line, rows(case, results)), ""]
    page += ["## Bars", "", _line(("", "")), _line(("---", "---"))]
    page += [_line(bar_line(outcome)) for outcome in judge(results)]
    page += ["", "## Remarks", "", *(f"- {kind}: {text}" for kind, text in remarks(results, skipped)), ""]
    return "\n".join(page)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def fact_lines(facts: Mapping[str, object]) -> list[str]:
    """Command, machine, versions and conditions, a line each."""
    lines = [f"- command: `{facts['command']}`, begun {facts['began']}"]
    for name in ("machine", "conditions", "versions"):
        fact = facts[name]
        assert isinstance(fact, Mapping)
        for key, value in {name: fact}.items() if name != "versions" else fact.items():
            lines.append(f"- {key}: " + ", ".join(f"{part} {value[part]}" for part in value))
    return lines


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
