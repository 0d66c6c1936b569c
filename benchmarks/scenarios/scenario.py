"""What the suite asks of a scenario: cases that measure one peer each time, and how to print it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.peers.peer import Venue


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a result: its key in the JSON, its heading and its format in the table, and whether the
    table also says how far the rounds were apart.
    """

    key: str
    heading: str
    form: str = ",.0f"
    ranged: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """hubbub's `metric` has to be at least `times` that of `rival`."""

    metric: str
    rival: str
    times: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """How to measure once: seconds to warm up and to measure, the load's core, whom to tell the phase."""

    warm: float
    measure: float
    core: int | None
    tell: Callable[[str], None]


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


class Case(Protocol):
    """One row of a scenario for every peer."""

    @property
    def name(self) -> str:
        """In the table and the JSON."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The columns."""

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What hubbub has to reach."""

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """Measure the fresh server at `venue` once. Raises LoadError, PeerError."""
