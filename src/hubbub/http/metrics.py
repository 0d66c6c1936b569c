"""Metrics: what other parts count, in Prometheus's text format.

Nothing is pushed here while work is done: parts keep plain numbers, and a scrape reads them through the
callables that the composition root registers. Label values come from fixed sets, never from clients.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the histograms' buckets, in seconds."""

OTHER: Final = "other"
"""The label of whatever is not in a histogram's fixed set."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Reading = Callable[[], float]
Readings = Callable[[], Mapping[tuple[str, ...], float]]


class Durations:
    """A histogram of durations by a label with a fixed set of values; cheap enough for the hot path."""

    __slots__ = ("_rows", "bounds")

    def __init__(self, labels: Iterable[str], bounds: tuple[float, ...] = BOUNDS) -> None:
        self.bounds = bounds
        self._rows = {label: [0.0] * (len(bounds) + 2) for label in (*labels, OTHER)}

    def observe(self, label: str, seconds: float) -> None:
        """Count one duration; a label outside the set counts as `OTHER`."""
        row = self._rows.get(label)
        if row is None:
            row = self._rows[OTHER]
        row[bisect_left(self.bounds, seconds)] += 1
        row[-1] += seconds

    def rows(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Return, for each label that was seen, its cumulated buckets and the sum of its durations."""
        names = [*map(str, self.bounds), "+Inf"]
        for label, row in self._rows.items():
            buckets = list(zip(names, accumulate(row[:-1]), strict=True))
            if buckets[-1][1]:
                yield label, buckets, row[-1]


class Metrics(Collector):
    """All metrics of a server, in a registry of their own."""

    def __init__(self) -> None:
        self._families: list[Callable[[], Metric]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def gauge(self, name: str, about: str, read: Reading) -> None:
        """Register a value that goes up and down."""
        self._families.append(lambda: GaugeMetricFamily(name, about, value=read()))

    def counter(self, name: str, about: str, read: Reading) -> None:
        """Register a value that only grows; its name gets `_total` behind it."""
        self._families.append(lambda: CounterMetricFamily(name, about, value=read()))

    def counters(self, name: str, about: str, labels: tuple[str, ...], read: Readings) -> None:
        """Register values that only grow; their keys hold a value for each label, from a fixed set."""

        def family() -> Metric:
            found = CounterMetricFamily(name, about, labels=labels)
            for values, number in list(read().items()):
                found.add_metric(values, number)
            return found

        self._families.append(family)

    def durations(self, name: str, about: str, label: str, values: Iterable[str]) -> Durations:
        """Register a histogram of seconds by one label, and return what counts them."""
        durations = Durations(values)

        def family() -> Metric:
            found = HistogramMetricFamily(name, about, labels=(label,))
            for value, buckets, total in durations.rows():
                found.add_metric((value,), buckets, total)
            return found

        self._families.append(family)
        return durations

    def collect(self) -> Iterator[Metric]:
        """Read everything; called by the registry."""
        for family in self._families:
            yield family()

    def render(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self._registry)
