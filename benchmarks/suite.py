"""Measures every case on every peer in interleaved rounds, so that a slow minute hits all alike."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load.member import LoadError
from benchmarks.peers.peer import Peer
from benchmarks.processes import PeerError, last_words
from benchmarks.scenarios.scenario import Bar, Case, Conditions, Measurement


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to measure, how often and how long. Both cores are None where there is only one."""

    peers: tuple[Peer, ...]
    cases: tuple[Case, ...]
    rounds: int
    warm: float
    measure: float
    server_core: int | None
    load_core: int | None
    work: Path
    """Where the servers' folders are made; on a real disk, or the durable get their `fsync` for nothing."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The rounds of one metric."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Result:
    """One peer in one case over all rounds. An objection in any round makes it invalid, without figures, and
    so do disturbances in half of the rounds; the other rounds alone make the figures.
    """

    case: Case
    peer: Peer
    rounds: list[Measurement] = field(default_factory=list)

    @property
    def objections(self) -> tuple[str, ...]:
        """What makes it invalid, round by round; empty when it is valid."""
        wrong = _by_round([measurement.objections for measurement in self.rounds])
        return wrong if wrong or len(self._good) * 2 > len(self.rounds) else self.disturbances

    @property
    def disturbances(self) -> tuple[str, ...]:
        """What made rounds be left out, round by round."""
        return _by_round([measurement.disturbances for measurement in self.rounds])

    @property
    def _good(self) -> list[Measurement]:
        return [measurement for measurement in self.rounds if not measurement.problems]

    def spread(self, metric: str) -> Spread | None:
        """Median and range of a metric, None for an invalid result."""
        if self.objections or not self.rounds:
            return None
        values = [measurement.values[metric] for measurement in self._good]
        return Spread(statistics.median(values), min(values), max(values))


def _by_round(problems: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(f"round {number}: {text}" for number, texts in enumerate(problems, 1) for text in texts)


Tell = Callable[[Peer, Case, int, str], None]
Record = Callable[[Peer, Case, int, Measurement], None]


def run(schedule: Schedule, tell: Tell, record: Record) -> list[Result]:
    """All rounds; `tell` hears each phase as it begins, `record` each measurement as it is made."""
    results = [Result(case, peer) for case in schedule.cases for peer in schedule.peers]
    for number in range(1, schedule.rounds + 1):
        for result in _rotated(results, number, len(schedule.peers)):
            peer, case = result.peer, result.case
            measurement = _measure(schedule, peer, case, lambda phase: tell(peer, case, number, phase))  # noqa: B023 - called at once
            result.rounds.append(measurement)
            record(peer, case, number, measurement)
    return results


def _rotated(results: Sequence[Result], number: int, peers: int) -> list[Result]:
    """Another peer begins in every round."""
    rows = [results[start : start + peers] for start in range(0, len(results), peers)]
    return [row[(place + number - 1) % peers] for row in rows for place in range(peers)]


def _measure(schedule: Schedule, peer: Peer, case: Case, tell: Callable[[str], None]) -> Measurement:
    """A fresh server for one measurement. One that fails is an objection: the others go on."""
    conditions = Conditions(schedule.warm, schedule.measure, schedule.load_core, tell)
    with tempfile.TemporaryDirectory(prefix=f"{peer.name}-", dir=schedule.work) as folder:
        tell("starting")
        try:
            with peer.serve(Path(folder), schedule.server_core) as venue:
                return case.measure(venue, conditions)
        except PeerError as error:
            return Measurement({}, (str(error),))
        except LoadError as error:
            return Measurement({}, (f"{error}; {last_words(Path(folder) / 'output.log')}",))


@dataclass(frozen=True, slots=True)
class BarOutcome:
    """Whether hubbub reached a bar; `ratio` is None where one of the two results has no figure."""

    case: Case
    bar: Bar
    ratio: float | None

    @property
    def met(self) -> bool:
        """Reached, with valid figures on both sides."""
        return self.ratio is not None and self.ratio >= self.bar.times


def judge(results: Sequence[Result], ours: str = "hubbub") -> list[BarOutcome]:
    """Every bar of the cases that were run with both hubbub and the bar's rival."""
    by_name = {(result.case.name, result.peer.name): result for result in results}
    outcomes = []
    for case in dict.fromkeys(result.case for result in results):
        for bar in case.bars:
            pair = [by_name.get((case.name, name)) for name in (ours, bar.rival)]
            if any(result is None for result in pair):
                continue
            ours_spread, rivals = (result.spread(bar.metric) if result else None for result in pair)
            ratio = ours_spread.median / rivals.median if ours_spread and rivals else None
            outcomes.append(BarOutcome(case, bar, ratio))
    return outcomes
