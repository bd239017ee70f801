from __future__ import annotations

import re
from itertools import combinations

import pytest
import yaml

from monitoring.__main__ import ROOT, main, stale
from tests.monitoring.dashboards import DASHBOARDS, GRAFANA, panels

all_dashboards = pytest.mark.parametrize("name", DASHBOARDS)


def test_the_committed_files_are_up_to_date() -> None:
    assert stale() == []


def test_check_lists_files_that_are_out_of_date(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--check"]) == 0
    monkeypatch.setattr("monitoring.__main__.MAKERS", (lambda: {"monitoring/slo.py": "", "new.json": ""},))
    assert main(["--check"]) == 1
    printed = capsys.readouterr().out
    assert "monitoring/slo.py is out of date" in printed
    assert "new.json is out of date" in printed


def test_there_are_six_dashboards() -> None:
    assert {board["title"].removeprefix("Intentstream: ") for board in DASHBOARDS.values()} == {
        "Overview and SLO",
        "Stream and Kafka",
        "State and recovery",
        "Scorer",
        "Recommendations quality",
        "Runtime",
    }
    assert [board["uid"] for board in DASHBOARDS.values()] == list(DASHBOARDS)


@all_dashboards
def test_ids_are_unique_and_panels_do_not_overlap(name: str) -> None:
    everything = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for panel in everything:
        grid = panel["gridPos"]
        assert grid["w"] > 0
        assert grid["h"] > 0
        assert grid["x"] >= 0
        assert grid["x"] + grid["w"] <= 24
    for one, other in combinations(everything, 2):
        assert _apart(one["gridPos"], other["gridPos"]), f"{one['title']} and {other['title']}"


def _apart(one: dict[str, int], other: dict[str, int]) -> bool:
    across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    return across or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


@all_dashboards
def test_every_panel_has_a_unit_a_legend_and_a_description(name: str) -> None:
    titles = [panel["title"] for panel in panels(DASHBOARDS[name])]
    assert len(set(titles)) == len(titles)
    for panel in panels(DASHBOARDS[name]):
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"], panel["title"]
        assert defaults["thresholds"]["steps"][0]["value"] is None, panel["title"]
        limits = [step["value"] for step in defaults["thresholds"]["steps"][1:]]
        assert limits == sorted(limits), panel["title"]
        assert panel["targets"], panel["title"]
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"], panel["title"]
        assert panel["description"], panel["title"]


@all_dashboards
def test_variables_are_declared_and_used(name: str) -> None:
    board = DASHBOARDS[name]
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", str((board["panels"], board["annotations"], board["templating"]))))
    assert {each for each in used if not each.startswith("__")} == variables
    assert {"datasource", "job", "instance"} <= variables


@all_dashboards
def test_all_dashboards_have_the_same_annotations_and_links(name: str) -> None:
    board = DASHBOARDS[name]
    assert [each["name"] for each in board["annotations"]["list"]] == ["Model change", "Rebalance", "Restart"]
    boards = board["links"][0]
    assert set(boards["tags"]) <= set(board["tags"])
    assert boards["includeVars"]
    assert boards["keepTime"]


def test_dashboards_link_every_runbook() -> None:
    linked = {link["url"] for board in DASHBOARDS.values() for link in board["links"][1:]}
    existing = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    # No dashboard shows the watchdog.
    assert linked == existing - {"docs/runbooks/watchdog.md"}


def test_the_first_row_of_the_overview_has_the_main_figures() -> None:
    first = [panel for panel in panels(DASHBOARDS["intentstream-overview"]) if panel["gridPos"]["y"] == 1]
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


def test_grafana_is_provisioned_with_the_data_source_and_the_dashboards() -> None:
    provisioning = GRAFANA / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["type"]) == ("prometheus", "prometheus")
    prometheus = yaml.safe_load((ROOT / "monitoring" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "intentstream.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert not provider["allowUiUpdates"]
