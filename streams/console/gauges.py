"""Gauges of the Flow page: rates and quantiles of this worker's metrics, sampled while the page is open."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from time import monotonic

from prometheus_client import Counter, Gauge

from streams.console import charts
from streams.console.charts import Line
from streams.console.words import gettext
from streams.kafka.topics import PROFILES, changelog_topic
from streams.metrics import Metrics
from streams.outcomes import STAGES
from streams.settings import Settings
from streams.worker.summary import quantile

EVERY_S = 1.0
KEPT = 120
"""Samples that are kept: two minutes."""
RATE_S, QUANTILE_S = 5.0, 30.0
"""Seconds over which rates and quantiles are taken."""
STAGE_TITLES = {stage: stage.replace("_", " ") for stage in STAGES}
"""Names of the stages for people."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Values of counters at a time, in seconds."""

    at_s: float
    events: float
    lists: int
    end_to_end: list[int]
    stages: Mapping[str, list[int]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the event path: milliseconds of a batch, and its part of the longest stage."""

    name: str
    p50_ms: float
    p90_ms: float
    part: float


@dataclass(frozen=True, slots=True)
class Lag:
    """Messages of a topic that wait, and the age of the oldest one."""

    topic: str
    records: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Owned:
    """A partition and its owner: a worker's URL, the number of its colour, and whether it is this worker."""

    partition: int
    url: str
    colour: int
    is_own: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of all gauges."""

    events_per_s: float
    lists_per_s: float
    over_time: list[Line]
    p50_ms: float
    p99_ms: float
    stages: list[Stage]
    lags: list[Lag]
    fallbacks: list[tuple[str, float]]
    refused: float
    model: Mapping[str, str]
    loaded: str
    items: float


@dataclass(slots=True)
class Gauges:
    """Samples of a worker's metrics. Several viewers share them."""

    settings: Settings
    metrics: Metrics
    _samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT))

    def read(self) -> Reading:
        """Take a sample if one is due, and return what the gauges show."""
        now = monotonic()
        if self._samples and now - self._samples[-1].at_s > 3 * EVERY_S:
            self._samples.clear()  # nobody looked for a while
        # Slightly less than the interval: a page whose timer is early must not skip every second sample.
        if not self._samples or now - self._samples[-1].at_s >= 0.9 * EVERY_S:
            self._samples.append(self._sample(now))
        metrics, last = self.metrics, self._samples[-1]
        end_to_end = _between(self._before(QUANTILE_S).end_to_end, last.end_to_end)
        bounds = metrics.end_to_end.bounds
        rate = self._before(RATE_S)
        # The first sample has none before it: its rates are 0 then, whatever the divisor.
        elapsed = max(last.at_s - rate.at_s, 1e-9) if last is not rate else 1.0
        model = next((labels for labels, value in _values(metrics.model_info) if value), {})
        (loaded,) = (value for _, value in _values(metrics.model_loaded))
        (items,) = (value for _, value in _values(metrics.catalogue_items))
        return Reading(
            events_per_s=(last.events - rate.events) / elapsed,
            lists_per_s=(last.lists - rate.lists) / elapsed,
            over_time=charts.lines({"events": self._rates()}),
            p50_ms=1e3 * quantile(bounds, end_to_end, 0.5),
            p99_ms=1e3 * quantile(bounds, end_to_end, 0.99),
            stages=self._stages(),
            lags=self._lags(),
            fallbacks=[(labels["reason"], value) for labels, value in _values(metrics.fallbacks)],
            refused=sum(value for _, value in _values(metrics.dead_letters)),
            model=model,
            loaded=f"{datetime.fromtimestamp(loaded, UTC):%d %b %H:%M} UTC" if loaded else "",
            items=items,
        )

    def owners(self, distribution: Mapping[str, Mapping[str, Sequence[int]]], own_url: str) -> list[Owned]:
        """Return the owner of each partition of shoppers."""
        changelog = changelog_topic(self.settings, PROFILES)
        urls = sorted(distribution)
        return sorted(
            (
                Owned(partition, url, urls.index(url), url == own_url)
                for url in urls
                for partition in distribution[url].get(changelog, ())
            ),
            key=lambda owned: owned.partition,
        )

    def _sample(self, now: float) -> Sample:
        topics = (self.settings.topics.clicks, self.settings.topics.searches)
        end_to_end = self.metrics.end_to_end.counts()
        return Sample(
            at_s=now,
            events=sum(value for labels, value in _values(self.metrics.events) if labels["topic"] in topics),
            lists=sum(end_to_end),
            end_to_end=end_to_end,
            stages={stage: self.metrics.stage.labels(stage).counts() for stage in STAGES},
        )

    def _before(self, seconds: float) -> Sample:
        """Return the sample of some seconds ago, or the oldest one."""
        now = self._samples[-1].at_s
        return next((each for each in self._samples if each.at_s >= now - seconds), self._samples[0])

    def _rates(self) -> list[float]:
        return [(new.events - old.events) / max(new.at_s - old.at_s, 1e-9) for old, new in pairwise(self._samples)]

    def _stages(self) -> list[Stage]:
        bounds, before, last = self.metrics.stage.bounds, self._before(QUANTILE_S), self._samples[-1]
        found = []
        for stage in STAGES:
            counts = _between(before.stages[stage], last.stages[stage])
            p50, p90 = (1e3 * quantile(bounds, counts, share) for share in (0.5, 0.9))
            found.append((stage, p50, p90))
        longest = max((p90 for _, _, p90 in found), default=0.0) or 1.0
        return [Stage(gettext(STAGE_TITLES[stage]), p50, p90, p90 / longest) for stage, p50, p90 in found]

    def _lags(self) -> list[Lag]:
        records: dict[str, float] = {}
        for labels, value in _values(self.metrics.lag_records):
            records[labels["topic"]] = records.get(labels["topic"], 0.0) + value
        seconds = {labels["topic"]: value for labels, value in _values(self.metrics.lag_seconds)}
        return [Lag(topic, records.get(topic, 0.0), seconds.get(topic, 0.0)) for topic in self.settings.topics.consumed]


def _between(before: Sequence[int], after: Sequence[int]) -> list[int]:
    return [new - old for old, new in zip(before, after, strict=True)]


def _values(metric: Counter | Gauge) -> Iterator[tuple[Mapping[str, str], float]]:
    """Yield the labels and the value of each series of a metric."""
    for family in metric.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield sample.labels, sample.value
