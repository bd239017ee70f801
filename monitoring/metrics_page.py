"""The page that lists every metric of a worker, with its labels and the values that are known beforehand."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from streams.metrics import Histogram, Metrics

HEAD = """\
# Metrics

What a worker exports at `/metrics`, beside `process_*` and `python_*` of the client library. This page is made from
`streams/metrics.py` by `python -m monitoring`. Times are in seconds, sizes in bytes. Label sets whose values are listed
here are there from the start, at 0. No label holds a shopper, an item, a session or a text. With OpenMetrics, buckets
of `intentstream_end_to_end_latency_seconds` carry the `recommendation_id` of a list as their exemplar.

| Metric | Type | Labels | Says |
|---|---|---|---|
"""
OF_THE_MACHINE = ("version", "python")


def files() -> dict[str, str]:
    """Return the page, by its path."""
    metrics = [each for each in vars(Metrics()).values() if isinstance(each, Counter | Gauge | Histogram)]
    return {"docs/metrics.md": HEAD + "".join(sorted(map(_line, metrics)))}


def _line(metric: Counter | Gauge | Histogram) -> str:
    (family,) = metric.describe()
    name = family.name + "_total" if family.type == "counter" else family.name
    labels = "; ".join(_label(metric, label) for label in metric._labelnames)
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n"


def _label(metric: Counter | Gauge | Histogram, label: str) -> str:
    if label in OF_THE_MACHINE:
        return f"`{label}`"
    (family,) = metric.collect()
    known = dict.fromkeys(sample.labels[label] for sample in family.samples if label in sample.labels)
    return f"`{label}`: {', '.join(known)}" if known else f"`{label}`"
