"""Measures every case on every peer in interleaved rounds, so that a slow minute hits all alike."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.load.client import LoadError
from benchmarks.peers.peer import Peer
from benchmarks.processes import PeerError, last_words
from benchmarks.scenarios.scenario import Bar, Case, Conditions, Found, Measurement


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
    share: float
    """Of the clients of the storms: 1 but for a run that only shows that all works."""
    work: Path
    """Where the servers' folders are made; on a real disk, or the durable get their `fsync` for nothing."""

    @property
    def all_cases(self) -> tuple[Case, ...]:
        """The cases, each behind those whose figures it needs."""
        return tuple(dict.fromkeys(needed for case in self.cases for needed in (*case.needs, case)))

    def taking_part(self, case: Case) -> list[Peer]:
        """The peers that are measured in a case."""
        return [peer for peer in self.peers if peer.name not in dict(case.without)]

    def rounds_of(self, case: Case) -> int:
        """How often a case is measured."""
        return min(self.rounds, case.rounds or self.rounds)

    @property
    def measurements(self) -> int:
        """How many there are in all."""
        return sum(len(self.taking_part(case)) * self.rounds_of(case) for case in self.all_cases)


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
    rows = [[Result(case, peer) for peer in schedule.taking_part(case)] for case in schedule.all_cases]
    results = [result for row in rows for result in row]

    def found(case: Case, metric: str) -> dict[str, float]:
        spreads = {result.peer.name: result.spread(metric) for result in results if result.case == case}
        return {name: spread.median for name, spread in spreads.items() if spread is not None}

    for number in range(1, schedule.rounds + 1):
        for row in rows:
            for place in range(len(row)):
                result = row[(place + number - 1) % len(row)]  # another peer begins in every round
                if number <= schedule.rounds_of(result.case):
                    _measure(schedule, result, found, partial(tell, result.peer, result.case, number))
                    record(result.peer, result.case, number, result.rounds[-1])
    return results


def _measure(schedule: Schedule, result: Result, found: Found, tell: Callable[[str], None]) -> None:
    """A fresh server for one measurement. One that fails is an objection: the others go on."""
    conditions = Conditions(schedule.warm, schedule.measure, schedule.load_core, tell, schedule.share, found)
    case, peer = result.case, result.peer
    with tempfile.TemporaryDirectory(prefix=f"{peer.name}-", dir=schedule.work) as folder:
        tell("starting")
        try:
            with peer.serve(Path(folder), schedule.server_core, case.extras) as venue:
                measured = case.measure(venue, conditions)
        except PeerError as error:
            measured = Measurement({}, (str(error),))
        except (LoadError, ProcessLookupError) as error:
            measured = Measurement({}, (f"{error}; {last_words(Path(folder) / 'output.log')}",))
    result.rounds.append(measured)


@dataclass(frozen=True, slots=True)
class BarOutcome:
    """Whether hubbub reached a bar; `ratio` is None where one of the two results has no figure."""

    case: Case
    bar: Bar
    ratio: float | None

    @property
    def less(self) -> bool:
        """Whether the bar is a most, not a least."""
        return next(metric.less for metric in self.case.metrics if metric.key == self.bar.metric)

    @property
    def met(self) -> bool:
        """Reached, with valid figures on both sides."""
        return self._reached(self.bar.times)

    @property
    def beyond(self) -> bool:
        """Whether the further aim was reached too; false where there is none."""
        return self.bar.beyond is not None and self._reached(self.bar.beyond)

    def _reached(self, times: float) -> bool:
        return self.ratio is not None and (self.ratio <= times if self.less else self.ratio >= times)


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
