from __future__ import annotations

import re

from monitoring.__main__ import ROOT
from monitoring.slo import OBJECTIVE, PERIOD, THRESHOLD_S
from streams.metrics import Metrics
from tests.monitoring.dashboards import DASHBOARDS, dashboard_annotations, queries, series_in
from training.learning.metrics import LearningMetrics

PROMETHEUS_OWN = {"up"}
NOT_SHOWN = {
    "process_start_time_seconds": "intentstream_started_timestamp_seconds has the same value on every platform",
    "process_virtual_memory_bytes": "address space is no memory: ONNX Runtime and RocksDB reserve much of it",
    "python_gc_objects_collected_total": "does not measure how long the loop is blocked",
    "python_gc_objects_uncollectable_total": "0 since Python 3.4 (PEP 442), but for a broken extension",
    "python_info": "intentstream_build_info has Python's version",
    "intentstream_learn_lists_total": "intentstream_learn_lists_kept grows with it",
    "intentstream_learn_refit_timestamp_seconds": "the panel of the refits shows when one was made",
    "intentstream_learn_unreadable_records_total": "workers count refused messages",
}
"""Metrics of the registry that no panel shows, with the reason."""


def _names() -> dict[str, str]:
    """Return the metric of each time series of a worker and of a learning loop."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + end: family.name + ("_total" if family.type == "counter" else "")
        for metrics in (Metrics(), LearningMetrics())
        for family in metrics.registry.collect()
        for end in ends.get(family.type, ("",))
    }


NAMES = _names()


def test_every_description_contains_its_metrics() -> None:
    for query in queries():
        assert query.metrics, f"{query}: reads nothing"
        for metric in query.metrics:
            assert f"`{NAMES.get(metric, metric)}`" in query.description, f"{query}: {metric} is not described"


def test_rates_use_the_scrape_interval() -> None:
    for query in queries():
        windows = re.findall(r"\[([^]]+)\]", query.expr)
        assert len(windows) == len(re.findall(r"\b(?:rate|increase|deriv)\(", query.expr)), query
        # An instant query may cover a longer time.
        allowed = {"$__rate_interval", "$__range", PERIOD} if query.instant else {"$__rate_interval"}
        assert set(windows) <= allowed, query
        assert windows or "histogram_quantile" not in query.expr, query


def test_queries_without_observations_give_no_nan() -> None:
    for query in queries():
        assert query.expr.endswith(" >= 0") or "histogram_quantile" not in query.expr, query
        for divisor in query.expr.split(" / ")[1:]:
            assert re.match(r"(on \(\) group_left \(\) )?\(.+ > 0\)|[\d.]+$", divisor), query


def test_every_metric_in_a_query_exists() -> None:
    known = NAMES.keys() | PROMETHEUS_OWN
    shown = {metric for query in queries() for metric in query.metrics}
    marked = {metric for annotation in dashboard_annotations() for metric in series_in(annotation["expr"])}
    assert (shown | marked) - known == set()


def test_every_metric_is_on_a_panel_or_excluded_with_a_reason() -> None:
    shown = {NAMES[metric] for query in queries() for metric in query.metrics if metric in NAMES}
    assert set(NAMES.values()) - shown == NOT_SHOWN.keys()


def test_the_threshold_options_are_the_bucket_bounds() -> None:
    (threshold,) = (
        v for v in DASHBOARDS["intentstream-overview"]["templating"]["list"] if v["name"] == "slo_threshold"
    )
    (latency,) = (f for f in Metrics().registry.collect() if f.name == "intentstream_end_to_end_latency_seconds")
    bounds = {sample.labels["le"] for sample in latency.samples if sample.name.endswith("_bucket")}
    assert set(threshold["query"].split(",")) == bounds - {"+Inf"}
    assert threshold["current"]["value"] == str(THRESHOLD_S)
    assert str(THRESHOLD_S) in bounds


def test_alerts_use_the_objective_of_the_dashboards() -> None:
    rules = (ROOT / "monitoring" / "prometheus" / "rules" / "slo.yml").read_text()
    assert set(re.findall(r'\ble="([\d.]+)"', rules)) == {str(THRESHOLD_S)}
    assert set(re.findall(r"[\d.]+ \* ([\d.]+)", rules)) == {f"{1 - OBJECTIVE:g}"}
