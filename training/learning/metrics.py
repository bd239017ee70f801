"""Prometheus metrics of the learning loop. docs/metrics.md lists them after the worker's."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

if TYPE_CHECKING:
    from training.learning.judging import Comparison, Floats

REFITS = PUBLISHED, NOT_BETTER, TOO_FEW, PINNED, FAILED = ("published", "not_better", "too_few", "pinned", "failed")
"""Outcomes of a refit."""
REFERENCE, RECENT = PERIODS = ("reference", "recent")
NEW, FORMER = RANKERS = ("new", "former")


class LearningMetrics:
    """Metrics of a loop, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.lists = self._counter("lists", "Labelled lists gathered")
        self.kept = self._gauge("lists_kept", "Labelled lists on disk")
        self.waiting = self._gauge("waiting_events", "Interactions that wait for their labels")
        self.unreadable = self._counter("unreadable_records", "Unreadable records that were skipped, by topic", "topic")
        self.lag = self._gauge("lag_seconds", "Age of the newest record up to which all topics are read")
        self.refits = self._counter("refits", "Refits of the ranker, by outcome", "outcome", *REFITS)
        self.refitted = self._gauge("refit_timestamp_seconds", "Event time of the last refit; 0 without any")
        self.refit_seconds = self._gauge("refit_duration_seconds", "Duration of the last refit")
        self.gain = self._gauge(
            "refit_gain", "NDCG@20 of the last candidate on held-out lists, minus the present ranker's"
        )
        self.gain_low = self._gauge("refit_gain_low", "Lower confidence bound of intentstream_learn_refit_gain")
        self.ndcg = self._gauge("ndcg", "NDCG@20 of the ranker in use on gathered lists, by period", "period", *PERIODS)
        self.drift = self._gauge("drift", "1 if the ranker in use is worse in the recent period, with confidence")
        self.rate = self._gauge(
            "click_rate", "Share of the lists acted on, of the newest ranker and the one before it", "ranker", *RANKERS
        )
        self.evidence = self._gauge("drop_evidence", "Likelihood ratio of a drop of the click rate")
        self.rollbacks = self._counter("rollbacks", "Versions that the guardrail replaced by their predecessor")
        self.failures = self._counter("failures", "Steps of the loop that failed")
        self.propensity = self._gauge(
            "propensity", "Probability that a rank is examined, relative to the first", "rank"
        )
        for gauge in (self.gain, self.gain_low, self.lag):
            gauge.set(nan)
        for period in PERIODS:
            self.ndcg.labels(period).set(nan)
        for ranker in RANKERS:
            self.rate.labels(ranker).set(nan)

    def judged(self, comparison: Comparison | None) -> None:
        """Record the judgement of a refit."""
        if comparison is not None:
            self.gain.set(comparison.gain)
            self.gain_low.set(comparison.low)

    def drifted(self, comparison: Comparison, *, is_drift: bool) -> None:
        """Record the quality in both periods; NaN if they have too few lists."""
        is_known = comparison.lists > 0
        self.ndcg.labels(REFERENCE).set(comparison.before if is_known else nan)
        self.ndcg.labels(RECENT).set(comparison.after if is_known else nan)
        self.drift.set(is_drift)

    def examined(self, theta: Floats) -> None:
        """Record the propensities."""
        for rank, value in enumerate(theta.tolist(), start=1):
            self.propensity.labels(str(rank)).set(value)

    def _counter(self, name: str, text: str, label: str | None = None, *values: str) -> Counter:
        metric = Counter(f"intentstream_learn_{name}", text, [label] if label else [], registry=self.registry)
        for value in values:
            metric.labels(value)
        return metric

    def _gauge(self, name: str, text: str, label: str | None = None, *values: str) -> Gauge:
        metric = Gauge(f"intentstream_learn_{name}", text, [label] if label else [], registry=self.registry)
        for value in values:
            metric.labels(value)
        return metric
