"""The time series of a new worker and of a new learning loop, by name."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.samples import Sample

from streams.metrics import Metrics
from training.learning.metrics import LearningMetrics

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def series(family: Metric) -> dict[str, list[Sample]]:
    """Return a metric's samples by series name. A metric without known label values has none."""
    names = [family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))]
    return {name: [sample for sample in family.samples if sample.name == name] for name in names}


WORKER_METRICS = {
    name: samples
    for metrics in (Metrics(), LearningMetrics())
    for family in metrics.registry.collect()
    for name, samples in series(family).items()
}
