from __future__ import annotations

import re
from itertools import combinations

import pytest
import yaml

from monitoring.__main__ import ROOT, main, stale
from tests.monitoring.boards import BOARDS, GRAFANA, panels

all_boards = pytest.mark.parametrize("name", BOARDS)


def test_committed_files_are_those_that_would_be_made_now() -> None:
    assert stale() == []


def test_check_tells_which_files_differ(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["--check"]) == 0
    monkeypatch.setattr("monitoring.__main__.MAKERS", (lambda: {"monitoring/slo.py": "", "new.json": ""},))
    assert main(["--check"]) == 1
    told = capsys.readouterr().out
    assert "monitoring/slo.py is out of date" in told
    assert "new.json is out of date" in told


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
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"], panel["title"]
        assert panel["description"], panel["title"]


@all_boards
def test_every_variable_is_used_and_every_used_one_exists(name: str) -> None:
    board = BOARDS[name]
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", str((board["panels"], board["annotations"], board["templating"]))))
    assert {each for each in used if not each.startswith("__")} == variables
    assert {"datasource", "job", "instance"} <= variables


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
    prometheus = yaml.safe_load((ROOT / "monitoring" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "intentstream.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert not provider["allowUiUpdates"]
