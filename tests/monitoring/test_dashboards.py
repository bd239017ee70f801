from __future__ import annotations

import re
from itertools import combinations

import pytest
import yaml

from monitoring.__main__ import ROOT, main, stale
from monitoring.slo import PERIOD, THRESHOLD_S
from streams.metrics import Metrics
from tests.monitoring.boards import BOARDS, GRAFANA, panels, queries, queries_of

PROMETHEUS_OWN = {"up"}
NOT_SHOWN = {
    "process_start_time_seconds": "intentstream_started_timestamp_seconds says the same on every platform",
    "process_virtual_memory_bytes": "address space is no memory: ONNX Runtime and RocksDB reserve much of it",
    "python_gc_objects_collected_total": "says nothing of how long the loop stood still",
    "python_gc_objects_uncollectable_total": "nothing in Python makes any since 3.4",
    "python_info": "intentstream_build_info has Python's version",
}
"""Metrics of the registry that no panel shows, and why."""

all_boards = pytest.mark.parametrize("name", BOARDS)


def _names() -> dict[str, str]:
    """Return the name of the metric that each time series of a worker belongs to."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + end: family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
        for end in ends.get(family.type, ("",))
    }


NAMES = _names()


def test_committed_files_are_those_that_would_be_made_now() -> None:
    assert stale() == []


def test_check_tells_which_files_differ(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["--check"]) == 0
    monkeypatch.setattr("monitoring.__main__.MAKERS", (lambda: {"monitoring/slo.py": "", "new.json": ""},))
    assert main(["--check"]) == 1
    told = capsys.readouterr().out
    assert "monitoring/slo.py is not what" in told
    assert "new.json is not what" in told


def test_the_six_dashboards_are_there() -> None:
    assert {board["title"].removeprefix("Intentstream: ") for board in BOARDS.values()} == {
        "Overview and SLO",
        "Stream and Kafka",
        "State and recovery",
        "Scorer",
        "Recommendations quality",
        "Runtime",
    }
    assert [board["uid"] for board in BOARDS.values()] == list(BOARDS)


@all_boards
def test_ids_are_unique_and_panels_do_not_overlap(name: str) -> None:
    everything = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for panel in everything:
        place = panel["gridPos"]
        assert place["w"] > 0
        assert place["h"] > 0
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
    for one, other in combinations(everything, 2):
        assert _apart(one["gridPos"], other["gridPos"]), f"{one['title']} and {other['title']}"


def _apart(one: dict[str, int], other: dict[str, int]) -> bool:
    across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    return across or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


@all_boards
def test_every_panel_explains_itself(name: str) -> None:
    titles = [panel["title"] for panel in panels(BOARDS[name])]
    assert len(set(titles)) == len(titles)
    for panel in panels(BOARDS[name]):
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"], panel["title"]
        assert defaults["thresholds"]["steps"][0]["value"] is None, panel["title"]
        limits = [step["value"] for step in defaults["thresholds"]["steps"][1:]]
        assert limits == sorted(limits), panel["title"]
        assert panel["targets"], panel["title"]
        for query in queries_of(name, panel):
            assert query.metrics, f"{query}: reads nothing"
            for metric in query.metrics:
                assert f"`{NAMES.get(metric, metric)}`" in panel["description"], f"{query}: {metric} is not described"


@all_boards
def test_every_variable_is_used_and_every_used_one_exists(name: str) -> None:
    board = BOARDS[name]
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", str((board["panels"], board["annotations"], board["templating"]))))
    assert {each for each in used if not each.startswith("__")} == variables
    assert {"datasource", "job", "instance"} <= variables


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
    assert shown - known == set()
    marked = {m for board in BOARDS.values() for a in board["annotations"]["list"] for m in _metrics(a["expr"])}
    assert marked - known == set()


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


@all_boards
def test_annotations_and_the_way_to_the_others_are_the_same_everywhere(name: str) -> None:
    board = BOARDS[name]
    assert [each["name"] for each in board["annotations"]["list"]] == ["Model change", "Rebalance", "Restart"]
    boards = board["links"][0]
    assert set(boards["tags"]) <= set(board["tags"])
    assert boards["includeVars"]
    assert boards["keepTime"]


def test_every_runbook_is_linked_and_every_linked_one_exists() -> None:
    linked = {link["url"] for board in BOARDS.values() for link in board["links"][1:]}
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    # Whether alerts arrive at all, no dashboard shows.
    assert linked == there - {"docs/runbooks/watchdog.md"}


def test_what_an_operator_sees_first() -> None:
    first = [panel for panel in panels(BOARDS["intentstream-overview"]) if panel["gridPos"]["y"] == 1]
    assert {panel["type"] for panel in first} == {"stat"}
    assert [panel["title"] for panel in first] == [
        "Events",
        "p50",
        "p99",
        "SLO attainment",
        "Error budget left",
        "Lag",
        "Fallbacks",
        "Unreachable workers",
    ]


def test_grafana_is_given_the_data_source_and_the_folder() -> None:
    provisioning = GRAFANA / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["type"]) == ("prometheus", "prometheus")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "intentstream.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert not provider["allowUiUpdates"]


def _metrics(expr: str) -> set[str]:
    return set(re.findall(r"(\w+)\{", expr))
