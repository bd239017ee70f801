"""The page that lists every metric of a worker and of the learning loop, with the labels and their known values."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from streams.histogram import Histogram
from streams.metrics import Metrics
from training.learning.metrics import LearningMetrics

HEAD = """\
# Metrics

A worker exports these metrics at `/metrics`, and the `process_*` and `python_*` metrics of the client library. Times
are in seconds, sizes in bytes. If all values of a label are listed, the series exist from the start, at 0. No label
identifies a shopper, an item or a session. In the OpenMetrics format, buckets of
`intentstream_end_to_end_latency_seconds` have the `recommendation_id` of a list as an exemplar.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""
LEARNING = """
## The learning loop

`intentstream learn` exports these. The label `topic` has the names of the topics, and `rank` the ranks from 1 to 20.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""
BUILD_LABELS = ("version", "python")


def files() -> dict[str, str]:
    """Return the page, keyed by path."""
    return {"docs/metrics.md": HEAD + _lines(Metrics()) + LEARNING + _lines(LearningMetrics())}


def _lines(owner: object) -> str:
    metrics = [each for each in vars(owner).values() if isinstance(each, Counter | Gauge | Histogram)]
    return "".join(sorted(map(_line, metrics)))


def _line(metric: Counter | Gauge | Histogram) -> str:
    (family,) = metric.describe()
    name = family.name + "_total" if family.type == "counter" else family.name
    labels = "; ".join(_label(metric, label) for label in metric._labelnames)
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n"


def _label(metric: Counter | Gauge | Histogram, label: str) -> str:
    if label in BUILD_LABELS:
        return f"`{label}`"
    (family,) = metric.collect()
    known = dict.fromkeys(sample.labels[label] for sample in family.samples if label in sample.labels)
    return f"`{label}`: {', '.join(known)}" if known else f"`{label}`"
