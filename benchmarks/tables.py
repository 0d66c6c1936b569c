"""The results as rows and lines of plain text, for the terminal and for Markdown alike."""

from collections.abc import Mapping, Sequence

from benchmarks.scenarios.scenario import Case
from benchmarks.suite import BarOutcome, Result, Spread

_BASELINE = "node"


def cases(results: Sequence[Result]) -> list[Case]:
    """The cases that were run, in their order."""
    return list(dict.fromkeys(result.case for result in results))


def headings(case: Case) -> list[str]:
    """Of the columns: the first metric has its ratio to the baseline beside it."""
    first, *others = (metric.heading for metric in case.metrics)
    return ["server", first, f"x {_BASELINE}", *others]


def rows(case: Case, results: Sequence[Result]) -> list[list[str]]:
    """A row per server. An invalid result has no figures."""
    mine = [result for result in results if result.case == case]
    baseline = next((result for result in mine if result.peer.name == _BASELINE), None)
    return [_cells(result, baseline) for result in mine]


def _cells(result: Result, baseline: Result | None) -> list[str]:
    cells = [result.peer.title]
    for place, metric in enumerate(result.case.metrics):
        spread = result.spread(metric.key)
        if spread is None:
            return [*cells, "invalid", *[""] * len(result.case.metrics)]
        cells.append(f"{spread.median:{metric.form}}")
        if metric.ranged and len(result.rounds) > 1:
            cells[-1] += f" ±{_off(spread):.0%}"
        if place == 0:
            base = baseline.spread(metric.key) if baseline else None
            cells.append(f"{spread.median / base.median:.2f}" if base and base.median else "")
    return cells


def _off(spread: Spread) -> float:
    """How far the farthest round is from the median."""
    farthest = max(spread.high - spread.median, spread.median - spread.low)
    return farthest / spread.median if spread.median else 0.0


def bar_line(outcome: BarOutcome) -> tuple[str, str]:
    """What became of a bar: the verdict, and the bar with the ratio."""
    bar, bound = outcome.bar, "at most" if outcome.less else "at least"
    further = f", beyond: {bar.beyond:g}" if bar.beyond is not None else ""
    wanted = f"{outcome.case.name}: {bound} {bar.times:g} x {bar.rival} ({bar.metric}){further}"
    if outcome.ratio is None:
        return "bar not judged", f"{wanted}: no valid figures"
    verdict = "beyond the bar" if outcome.beyond else "bar met" if outcome.met else "bar missed"
    return verdict, f"{wanted}: {outcome.ratio:.2f} x"


def remarks(results: Sequence[Result], skipped: Mapping[str, str]) -> list[tuple[str, str]]:
    """What was wrong, what was left out and who was not there: what it is, and the text."""
    found = [
        (
            "invalid" if result.objections else "left out",
            f"{result.peer.title}, {result.case.name}: {problem}",
        )
        for result in results
        for problem in result.objections or result.disturbances
    ]
    found += [("skipped", f"{name}: {reason}") for name, reason in skipped.items()]
    absent: dict[tuple[str, str], list[str]] = {}
    for case in cases(results):
        for name, reason in case.without:
            absent.setdefault((name, reason), []).append(case.name)
    for (name, reason), names in absent.items():
        where = names[0] if len(names) == 1 else f"{len(names)} cases"
        found.append(("not measured", f"{name}, {where}: {reason}"))
    return found
