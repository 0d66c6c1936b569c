"""A plot per scenario: bars of the medians, a bar per server in each case, the range of the rounds on it.

matplotlib is installed by `make bench` alone; importing this module needs it. The same results give the same
bytes: no date, no random ids. Text stays text, so that it can be searched and copied.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.suite import Result
from benchmarks.tables import cases

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "hubbub", "svg.fonttype": "none", "font.size": 10})

_COLOURS = {"hubbub": "#0072b2", "node": "#e69f00", "python-socketio": "#009e73", "floor": "#999999"}
_LOGARITHMIC_FROM = 20
"""Largest over smallest value of a panel from which on its axis is logarithmic."""
_WIDTH = 11.0
_BAR_INCHES = 0.26
_FACTS_CHARACTERS = 150


def draw(path: Path, title: str, results: Sequence[Result], facts: Sequence[str]) -> None:
    """Write the results of one scenario as SVG, a panel for each metric that has a title of its own."""
    metrics = [metric for metric in results[0].case.metrics if metric.title]
    notes = [
        line for fact in facts for line in textwrap.wrap(fact, _FACTS_CHARACTERS, subsequent_indent="   ")
    ]
    bars = _BAR_INCHES * (len(results) + 1.2 * len(cases(results)))
    head, foot, gap = 0.9, 0.2 + 0.16 * len(notes), 0.95
    height = head + len(metrics) * (bars + gap) + foot
    figure = Figure(figsize=(_WIDTH, height))
    figure.suptitle(title, x=0.02, y=1 - 0.25 / height, ha="left", fontsize=14, fontweight="bold")
    for place, metric in enumerate(metrics):
        bottom = height - head - (place + 1) * bars - place * gap
        axes = figure.add_axes((0.27, bottom / height, 0.66, bars / height))
        _panel(axes, metric, results)
    servers = {result.peer.title: _COLOURS.get(result.peer.name) for result in results}
    figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in servers.items()],
        loc="upper right",
        ncols=4,
        frameon=False,
        bbox_to_anchor=(0.98, 1 - 0.1 / height),
    )
    figure.text(0.02, 0.1 / height, "\n".join(notes), fontsize=7, color="#555555", va="bottom")
    figure.savefig(path, metadata={"Date": None, "Creator": "hubbub benchmarks", "Title": title})


def _panel(axes: Any, metric: Metric, results: Sequence[Result]) -> None:
    """One metric of all cases, from top to bottom."""
    places = _places(results)
    values = []
    for name in dict.fromkeys(result.peer.name for result in results):
        mine = [result for result in results if result.peer.name == name]
        spreads = {id(result): spread for result in mine if (spread := result.spread(metric.key))}
        shown = [result for result in mine if id(result) in spreads]
        medians = [spreads[id(result)].median for result in shown]
        ranges = [
            [spreads[id(result)].median - spreads[id(result)].low for result in shown],
            [spreads[id(result)].high - spreads[id(result)].median for result in shown],
        ]
        at = [places[id(result)] for result in shown]
        axes.barh(at, medians, 0.9, color=_COLOURS.get(name), xerr=ranges,
                  error_kw={"elinewidth": 1, "ecolor": "#333333"})  # fmt: skip
        for place, median, high in zip(at, medians, ranges[1], strict=True):
            axes.annotate(
                f"{median:{metric.form}}", (median + high, place), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
        for result in mine:
            if id(result) not in spreads:
                axes.annotate("invalid", (0, places[id(result)]), xytext=(4, 0), textcoords="offset points",
                              va="center", fontsize=8, xycoords=("axes fraction", "data"))  # fmt: skip
        values += medians
    _scale(axes, metric, values)
    _label(axes, places, results)


def _places(results: Sequence[Result]) -> dict[int, float]:
    """Where each result's bar is: cases apart, servers together."""
    places, at, case = {}, 0.0, results[0].case
    for result in results:
        if result.case != case:
            case, at = result.case, at + 1.2
        places[id(result)] = at
        at += 1
    return places


def _scale(axes: Any, metric: Metric, values: Sequence[float]) -> None:
    positive = [value for value in values if value > 0]
    logarithmic = bool(positive) and max(positive) > _LOGARITHMIC_FROM * min(positive)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(min(positive) / 2, max(positive) * 2)
    elif positive:
        axes.set_xlim(0, max(positive) * 1.15)
    better = "less is better" if metric.less else "more is better"
    axes.set_xlabel(f"{metric.title} ({better}{', logarithmic' if logarithmic else ''})")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _label(axes: Any, places: Mapping[int, float], results: Sequence[Result]) -> None:
    """The case's name beside its bars."""

    def middle(case: Case) -> float:
        mine = [places[id(result)] for result in results if result.case == case]
        return sum(mine) / len(mine)

    shown = cases(results)
    axes.set_yticks([middle(case) for case in shown], [textwrap.fill(case.name, 32) for case in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(places.values()) + 0.7, -0.7)
