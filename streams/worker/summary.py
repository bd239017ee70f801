"""The line that a worker logs once a minute: what it did, how fast, and what went wrong."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from streams.metrics import Metrics

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Summary:
    """Figures of the metrics since the last line.

    Attributes:
        topics: topics of interactions. The line counts their messages, and their lag.
    """

    metrics: Metrics
    topics: tuple[str, ...]
    _counted: dict[str, float] = field(default_factory=dict)
    _latencies: list[int] = field(default_factory=list)

    def log(self) -> None:
        """Log the line, unless nothing happened since the last one."""
        metrics = self.metrics
        events = self._since("events", metrics.events)
        fallbacks = self._since("fallbacks", metrics.fallbacks)
        refused = self._since("dead_letters", metrics.dead_letters, all_topics=True)
        counts = metrics.end_to_end.counts()
        before = self._latencies or [0] * len(counts)
        # Counts of a histogram only grow. Their differences are the histogram of the last minute.
        latencies, self._latencies = [new - old for new, old in zip(counts, before, strict=True)], counts
        lists = sum(latencies)
        lag_s = max(_samples(metrics.lag_seconds, self.topics), default=0.0)
        if not events and not lists and not lag_s:
            return
        bounds = metrics.end_to_end.bounds
        p50, p99 = (1e3 * quantile(bounds, latencies, share) for share in (0.5, 0.99))
        log.info(
            "last minute: %.0f events, %d lists, p50 %.0f ms, p99 %.0f ms, lag %.1f s, %.0f fallbacks, "
            "%.0f dead letters",
            events, lists, p50, p99, lag_s, fallbacks, refused,
        )  # fmt: skip

    def _since(self, name: str, counter: Counter, *, all_topics: bool = False) -> float:
        """Return by how much a counter grew since the last call, over all other labels than `topic`."""
        total = sum(_samples(counter, None if all_topics else self.topics))
        before, self._counted[name] = self._counted.get(name, 0.0), total
        return total - before


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float:
    """Return a quantile as Prometheus' `histogram_quantile` does: linear within the bucket that holds it.

    Args:
        bounds: upper bounds of the buckets, ascending; one more bucket has no bound.
        counts: values in each bucket.
        share: the quantile, 0 to 1.

    Returns the largest bound if the quantile is above it, and 0 without values.
    """
    wanted, below, lower = share * sum(counts), 0, 0.0
    for upper, number in zip(bounds, counts, strict=False):
        if number and below + number >= wanted:
            return lower + (upper - lower) * (wanted - below) / number
        below += number
        lower = upper
    return lower if sum(counts) else 0.0


def _samples(metric: Counter | Gauge, topics: Collection[str] | None) -> list[float]:
    """Return the values of a metric, those of `topics` only if it has the label `topic`. None stands for all topics."""
    return [
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if not sample.name.endswith("_created") and (topics is None or sample.labels.get("topic") in (None, *topics))
    ]
