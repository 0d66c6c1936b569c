"""The suite goes on past a peer that fails, and prints no figure that does not count."""

import io
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.load.client import LoadError
from benchmarks.peers.peer import Venue
from benchmarks.processes import Address, PeerError
from benchmarks.report import print_report, write_json
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


def measured(tmp_path: Path, *peers: FakePeer) -> list[Result]:
    """Three rounds over `peers`."""
    schedule = Schedule(peers, (FakeCase(),), 3, 0.0, 0.0, None, None, 1.0, tmp_path)
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
