"""A registry, and the making of its metrics with label sets that start at 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, PlatformCollector, ProcessCollector

from streams.histogram import Histogram

FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
END_TO_END = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
SHARES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LENGTHS = (0, 1, 2, 5, 10, 20, 50, 100)

Metric = TypeVar("Metric", Counter, Gauge, Histogram)


class MetricFamilies:
    """Base class of a set of metrics in their own registry, which also has those of the process and of Python.

    A label with given values starts at 0. None stands for values that are not known beforehand.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def _counter(self, name: str, documentation: str, /, **labels: Iterable[str] | None) -> Counter:
        return _at_zero(Counter(f"intentstream_{name}", documentation, list(labels), registry=self.registry), labels)

    def _gauge(self, name: str, documentation: str, /, **labels: Iterable[str] | None) -> Gauge:
        return _at_zero(Gauge(f"intentstream_{name}", documentation, list(labels), registry=self.registry), labels)

    def _histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...], /, **labels: Iterable[str] | None
    ) -> Histogram:
        name = f"intentstream_{name}"
        metric = Histogram(name, documentation, tuple(labels), buckets)
        self.registry.register(metric)
        return _at_zero(metric, labels)


def _at_zero(metric: Metric, labels: Mapping[str, Iterable[str] | None]) -> Metric:
    known = [values for values in labels.values() if values is not None]
    if labels and len(known) == len(labels):
        for values in product(*known):
            metric.labels(*values)
    return metric
