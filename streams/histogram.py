"""Histogram that observes the values of a whole batch at once."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from threading import Lock
from typing import NamedTuple

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString


class Bucket(NamedTuple):
    """Number of values above the previous bound and up to `bound`, with one of them that identifies its list."""

    bound: str
    values: int
    exemplar: Exemplar | None


@dataclass(eq=False, slots=True)
class Observations:
    """Values observed under one set of labels. Any thread may observe."""

    bounds: tuple[float, ...]
    _counts: list[int] = field(init=False)
    _exemplars: dict[int, Exemplar] = field(default_factory=dict)
    _sum: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.observe_many((value,))

    def observe_many(self, values: Sequence[float], exemplar: Exemplar | None = None) -> None:
        """Count values; `exemplar` belongs to one of them."""
        with self._lock:
            for value in values:
                self._counts[bisect_left(self.bounds, value)] += 1
            self._sum += sum(values)
            if exemplar is not None:
                self._exemplars[bisect_left(self.bounds, exemplar.value)] = exemplar

    def counts(self) -> list[int]:
        """Return the number of values in each bucket."""
        with self._lock:
            return list(self._counts)

    def taken(self) -> tuple[list[Bucket], float]:
        """Return the buckets and the sum of all values."""
        with self._lock:
            bounds = map(floatToGoString, (*self.bounds, inf))
            counts = zip(bounds, self._counts, strict=True)
            return [Bucket(*each, self._exemplars.get(place)) for place, each in enumerate(counts)], self._sum


class Histogram(Collector):
    """Histogram in the client library's format that observes the values of a whole batch at once.

    The library's histogram observes one value at a time, at 2 µs each, including a lock and a check of exemplars.
    """

    def __init__(self, name: str, documentation: str, labelnames: tuple[str, ...], bounds: tuple[float, ...]) -> None:
        self._name, self._documentation = name, documentation
        self._labelnames = labelnames
        self.bounds = tuple(map(float, bounds))
        self._observed: dict[tuple[str, ...], Observations] = {}
        if not labelnames:
            self.labels()

    def labels(self, *values: str) -> Observations:
        """Return the observations under these label values, empty if there are none yet."""
        if len(values) != len(self._labelnames):
            raise ValueError(f"{self._name}: required values of the labels {self._labelnames}, got {values}")
        return self._observed.setdefault(values, Observations(self.bounds))

    def observe(self, value: float) -> None:
        """Count one value; for a histogram without labels."""
        self.labels().observe(value)

    def observe_many(self, values: Sequence[float]) -> None:
        """Count values; for a histogram without labels."""
        self.labels().observe_many(values)

    def counts(self) -> list[int]:
        """Return the number of values in each bucket, over all labels. The last bucket has no upper bound."""
        return [sum(column) for column in zip(*(each.counts() for each in list(self._observed.values())), strict=True)]

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Yield the metric without its values."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the metric as it is now."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for values, observations in list(self._observed.items()):
            buckets, total = observations.taken()
            cumulative = 0
            lines: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for bucket in buckets:
                cumulative += bucket.values
                line = (bucket.bound, float(cumulative))
                lines.append(line if bucket.exemplar is None else (*line, bucket.exemplar))
            family.add_metric(values, lines, total)
        yield family


class Timed:
    """Timer of a block. It runs several times a batch; with contextlib it would take three times as long."""

    __slots__ = ("_began", "_histogram")

    def __init__(self, histogram: Observations) -> None:
        self._histogram = histogram

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:
            self._histogram.observe(time.perf_counter() - self._began)
