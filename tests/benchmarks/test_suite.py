"""The suite goes on past a peer that fails, and prints no figure that does not count."""

import io
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.load.client import LoadError
from benchmarks.peers.peer import Venue
from benchmarks.processes import Address, PeerError
from benchmarks.report import markdown, print_report, write_json
from benchmarks.scenarios.scenario import Bar, Conditions, Measurement, Metric, Terms
from benchmarks.suite import Result, Schedule, judge, run

WRONG = "3 deliveries lost"
NOISE = "the load generator was the bottleneck"


@dataclass(frozen=True)
class FakePeer:
    name: str
    port: int
    title: str = ""
    broken: bool = False

    def missing(self) -> str | None:
        return None

    def versions(self) -> dict[str, str]:
        return {}

    @contextmanager
    def serve(self, folder: Path, core: int | None, extras: frozenset[str]) -> Iterator[Venue]:
        (folder / "output.log").write_text("out of memory\n")
        if self.broken:
            raise PeerError("it does not start")
        yield Venue(Address("host", self.port, 1), lambda sizes: (), lambda count: ())


@dataclass(frozen=True)
class FakeCase(Terms):
    """Finds 12,345 for port 1 and twice that for port 2; port 3 loses messages, port 4 hangs up, ports 5 and
    6 are disturbed, 5 always and 6 one time in three.
    """

    name: str = "case"
    turns: Iterator[int] = field(default_factory=itertools.count, compare=False)
    metrics: tuple[Metric, ...] = (Metric("speed", "speed"),)
    bars: tuple[Bar, ...] = (Bar("speed", "node", 1.5), Bar("speed", "node", 2.5))

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        port = venue.address.port
        if port == 4:
            raise LoadError("it hung up")
        disturbed = port == 5 or (port == 6 and next(self.turns) % 3 == 0)
        value = 99999.0 if disturbed else 12345.0 * port
        return Measurement({"speed": value}, (WRONG,) * (port == 3), (NOISE,) * disturbed)


def measured(tmp_path: Path, *peers: FakePeer, case: FakeCase | None = None) -> list[Result]:
    """Three rounds over `peers`."""
    schedule = Schedule(peers, (case or FakeCase(),), 3, 0.0, 0.0, None, None, 1.0, tmp_path)
    return run(schedule, lambda *_: None, lambda *_: None)


def printed(results: list[Result], skipped: dict[str, str]) -> str:
    """The report as text."""
    console = Console(file=io.StringIO(), width=200)
    print_report(console, results, skipped)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_bars_are_judged_by_medians(tmp_path: Path) -> None:
    """Twice Node's speed meets a bar of 1.5 and misses one of 2.5."""
    results = measured(tmp_path, FakePeer("hubbub", 2), FakePeer("node", 1))
    assert [(outcome.ratio, outcome.met) for outcome in judge(results)] == [(2.0, True), (2.0, False)]
    text = printed(results, {"other": "not installed"})
    assert "24,690" in text
    assert "skipped  other: not installed" in text


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (FakePeer("hubbub", 3), WRONG),
        (FakePeer("hubbub", 5), NOISE),
        (FakePeer("hubbub", 4), "it hung up; it said: out of memory"),
        (FakePeer("hubbub", 2, broken=True), "it does not start"),
    ],
)
def test_an_invalid_result_has_no_figures(tmp_path: Path, peer: FakePeer, reason: str) -> None:
    """Not in the table, not in the JSON, and no bar is judged by it; the other peer's are there."""
    results = measured(tmp_path, peer, FakePeer("node", 1))
    text = printed(results, {})
    assert not {"37,035", "99,999"} & set(text.split())
    assert "12,345" in text
    assert f"round 1: {reason}" in text
    assert [outcome.met for outcome in judge(results)] == [False, False]
    write_json(tmp_path / "results" / "run.json", {"command": "x"}, results)
    document = json.loads((tmp_path / "results" / "run.json").read_text())
    row = document["results"][0]
    assert (row["valid"], row["metrics"]["speed"], row["rounds"]) == (False, None, [None, None, None])
    assert document["results"][1]["metrics"]["speed"]["median"] == 12345


def test_a_disturbed_round_is_left_out(tmp_path: Path) -> None:
    """The others make the figures, and the report says which round is missing and why."""
    results = measured(tmp_path, FakePeer("hubbub", 6), FakePeer("node", 1))
    spread = results[0].spread("speed")
    assert spread is not None
    assert (spread.low, spread.median, spread.high) == (74070.0, 74070.0, 74070.0)
    assert f"left out  , case: round 1: {NOISE}" in printed(results, {})


def test_rounds_begin_with_another_peer_each_time(tmp_path: Path) -> None:
    """So that no peer always follows the same one."""
    order: list[str] = []
    schedule = Schedule(
        (FakePeer("a", 1), FakePeer("b", 2)), (FakeCase(),), 2, 0.0, 0.0, None, None, 1.0, tmp_path
    )
    run(schedule, lambda *_: None, lambda peer, *_: order.append(peer.name))
    assert order == ["a", "b", "b", "a"]


@pytest.mark.parametrize(("ours", "met", "beyond"), [(1, False, False), (2, True, False), (9, True, True)])
def test_a_bar_has_a_further_aim(tmp_path: Path, ours: int, met: bool, beyond: bool) -> None:
    """Both are said; where less is better, both are a most."""
    case = FakeCase(bars=(Bar("speed", "node", 2, 4),))
    less = FakeCase(metrics=(Metric("speed", "speed", less=True),), bars=(Bar("speed", "node", 1, 0.2),))
    results = measured(tmp_path, FakePeer("hubbub", 10 * ours), FakePeer("node", 10), case=case)
    assert [(outcome.met, outcome.beyond) for outcome in judge(results)] == [(met, beyond)]
    results = measured(tmp_path, FakePeer("hubbub", 10), FakePeer("node", 10 * ours), case=less)
    assert [(outcome.met, outcome.beyond) for outcome in judge(results)] == [(True, beyond)]


def test_who_has_no_part_in_a_case_is_named(tmp_path: Path) -> None:
    """With the reason, and is not measured."""
    case = FakeCase(without=(("other", "it has no such thing"),))
    results = measured(tmp_path, FakePeer("hubbub", 1), FakePeer("other", 4), case=case)
    assert [result.peer.name for result in results] == ["hubbub"]
    assert "not measured  other, case: it has no such thing" in printed(results, {})


def test_a_case_gets_the_figures_that_it_needs(tmp_path: Path) -> None:
    """What it needs is measured before it, once, and comes as the medians so far."""
    found: list[Mapping[str, float]] = []
    first = FakeCase(name="first")

    @dataclass(frozen=True)
    class Needy(FakeCase):
        def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
            found.append(conditions.found(first, "speed"))
            return super().measure(venue, conditions)

    results = measured(tmp_path, FakePeer("hubbub", 1), case=Needy(name="second", needs=(first,), rounds=1))
    assert [(result.case.name, len(result.rounds)) for result in results] == [("first", 3), ("second", 1)]
    assert found == [{"hubbub": 12345.0}]


def test_plots_are_the_same_each_time(tmp_path: Path) -> None:
    """The same results make the same bytes, with the figures and the facts of the run as text."""
    if find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed here: `make bench` does it")
    plots = import_module("benchmarks.plots")
    case = FakeCase(metrics=(Metric("speed", "speed", title="how fast"),))
    results = measured(tmp_path, FakePeer("hubbub", 3, "us"), FakePeer("node", 1, "them"), case=case)
    for name in ("one.svg", "two.svg"):
        plots.draw(tmp_path / name, "title", results, ["command: x"])
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert all(
        part in text for part in ("12,345", "invalid", "how fast (more is better)", "command: x", "them")
    )


def test_the_page_says_what_the_terminal_says(tmp_path: Path) -> None:
    """Tables, bars, remarks and facts."""
    results = measured(tmp_path, FakePeer("hubbub", 2, "us"), FakePeer("node", 1, "them"))
    facts = {
        "command": "x",
        "began": "today",
        "machine": {"cores": 2},
        "conditions": {},
        "versions": {"node": {"v8": 1}},
    }
    page = markdown(facts, results, {"other": "not installed"})
    for part in (
        "| us | 24,690",
        "| bar met |",
        "- skipped: other: not installed",
        "- node: v8 1",
        "- machine: cores 2",
    ):
        assert part in page
