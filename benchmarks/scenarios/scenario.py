"""What the suite asks of a scenario: cases that measure one peer each time, and how to print it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.peers.peer import Venue


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a result: its key in the JSON, its heading and its format in the table, and whether the
    table also says how far the rounds were apart. `less` is better, or more. It is plotted under its `title`.
    """

    key: str
    heading: str
    form: str = ",.0f"
    ranged: bool = False
    less: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """hubbub's `metric` has to be at least `times` that of `rival`, or at most where less is better.

    `beyond` is the further aim.
    """

    metric: str
    rival: str
    times: float
    beyond: float | None = None


Found = Callable[["Case", str], Mapping[str, float]]
"""Medians so far in this run: of a case and a metric, by the names of the peers that have one."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How to measure once: seconds to warm up and to measure, the load's core, whom to tell the phase.

    `share` is the part of the clients that a short run makes do with.
    """

    warm: float
    measure: float
    core: int | None
    tell: Callable[[str], None]
    share: float = 1.0
    found: Found = lambda _case, _metric: {}

    def scaled(self, clients: int) -> int:
        """How many of `clients` there are in this run."""
        return max(1, round(clients * self.share))


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run found: a value per metric, none of which counts where there is a problem.

    An objection (the counts are wrong) makes the whole result invalid, a disturbance (something else than the
    server was measured) only leaves this round out.
    """

    values: Mapping[str, float]
    objections: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """All reasons why the values do not count."""
        return (*self.objections, *self.disturbances)


def measurement(
    values: Callable[[], Mapping[str, float]], objections: tuple[str, ...], disturbances: tuple[str, ...]
) -> Measurement:
    """`values` are worked out only where they count."""
    counts = not objections and not disturbances
    return Measurement(values() if counts else {}, objections, disturbances)


class Case(Protocol):
    """One row of a scenario for every peer."""

    @property
    def name(self) -> str:
        """In the table and the JSON."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The columns; the first one is what it is about."""

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What hubbub has to reach."""

    @property
    def without(self) -> tuple[tuple[str, str], ...]:
        """Peers that have no part in it, each with the reason."""

    @property
    def extras(self) -> frozenset[str]:
        """What the peers are asked to do beyond rooms and messages (`Peer.serve`)."""

    @property
    def rounds(self) -> int | None:
        """The most rounds that are worth their time; None for as many as the others."""

    @property
    def needs(self) -> "tuple[Case, ...]":
        """Cases whose figures it works with: they are measured before."""

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """Measure the fresh server at `venue` once. Raises LoadError, PeerError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What most cases have in common with all others."""

    bars: tuple[Bar, ...] = ()
    without: tuple[tuple[str, str], ...] = ()
    extras: frozenset[str] = frozenset()
    rounds: int | None = None
    needs: tuple[Case, ...] = ()


BIG_ROOMS_ONLY = (("floor", "what it says is said by big rooms"),)
"""For `without`."""


ONE_NODE_ONLY = tuple((name, "it is measured with one node only") for name in ("python-socketio", "floor"))
"""For `without`."""


def against_python(metric: Metric) -> Bar:
    """The bar that stands in every scenario."""
    return Bar(metric.key, "python-socketio", 0.2 if metric.less else 5)
