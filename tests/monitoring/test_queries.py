from __future__ import annotations

import re

from monitoring.__main__ import ROOT
from monitoring.slo import OBJECTIVE, PERIOD, THRESHOLD_S
from streams.metrics import Metrics
from tests.monitoring.boards import BOARDS, marks, queries, series_in

PROMETHEUS_OWN = {"up"}
NOT_SHOWN = {
    "process_start_time_seconds": "intentstream_started_timestamp_seconds says the same on every platform",
    "process_virtual_memory_bytes": "address space is no memory: ONNX Runtime and RocksDB reserve much of it",
    "python_gc_objects_collected_total": "says nothing of how long the loop stood still",
    "python_gc_objects_uncollectable_total": "0 since Python 3.4 (PEP 442), but for a broken extension",
    "python_info": "intentstream_build_info has Python's version",
}
"""Metrics of the registry that no panel shows, and why."""


def _names() -> dict[str, str]:
    """Return the name of the metric that each time series of a worker belongs to."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + end: family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
        for end in ends.get(family.type, ("",))
    }


NAMES = _names()


def test_every_description_names_the_metrics() -> None:
    for query in queries():
        assert query.metrics, f"{query}: reads nothing"
        for metric in query.metrics:
            assert f"`{NAMES.get(metric, metric)}`" in query.description, f"{query}: {metric} is not described"


def test_rates_follow_the_scrape_interval() -> None:
    for query in queries():
        windows = re.findall(r"\[([^]]+)\]", query.expr)
        assert len(windows) == len(re.findall(r"\b(?:rate|increase|deriv)\(", query.expr)), query
        # A single value of a longer time is asked for once, so that no step is too short for it.
        allowed = {"$__rate_interval", "$__range", PERIOD} if query.instant else {"$__rate_interval"}
        assert set(windows) <= allowed, query
        assert windows or "histogram_quantile" not in query.expr, query


def test_where_nothing_is_observed_there_is_no_nan() -> None:
    for query in queries():
        assert query.expr.endswith(" >= 0") or "histogram_quantile" not in query.expr, query
        for divisor in query.expr.split(" / ")[1:]:
            assert re.match(r"(on \(\) group_left \(\) )?\(.+ > 0\)|[\d.]+$", divisor), query


def test_every_metric_in_a_query_exists() -> None:
    known = NAMES.keys() | PROMETHEUS_OWN
    shown = {metric for query in queries() for metric in query.metrics}
    marked = {metric for annotation in marks() for metric in series_in(annotation["expr"])}
    assert (shown | marked) - known == set()


def test_every_metric_is_on_a_panel_or_has_a_reason() -> None:
    shown = {NAMES[metric] for query in queries() for metric in query.metrics if metric in NAMES}
    assert set(NAMES.values()) - shown == NOT_SHOWN.keys()


def test_the_threshold_is_chosen_among_the_bounds_of_the_buckets() -> None:
    (chosen,) = (v for v in BOARDS["intentstream-overview"]["templating"]["list"] if v["name"] == "slo_threshold")
    (latency,) = (f for f in Metrics().registry.collect() if f.name == "intentstream_end_to_end_latency_seconds")
    bounds = {sample.labels["le"] for sample in latency.samples if sample.name.endswith("_bucket")}
    assert set(chosen["query"].split(",")) == bounds - {"+Inf"}
    assert chosen["current"]["value"] == str(THRESHOLD_S)
    assert str(THRESHOLD_S) in bounds


def test_alerts_judge_the_objective_that_dashboards_show() -> None:
    rules = (ROOT / "monitoring" / "prometheus" / "rules" / "slo.yml").read_text()
    assert set(re.findall(r'\ble="([\d.]+)"', rules)) == {str(THRESHOLD_S)}
    assert set(re.findall(r"[\d.]+ \* ([\d.]+)", rules)) == {f"{1 - OBJECTIVE:g}"}
