"""`evaluate` on small data: its output, and one line for each error."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from inference.types import Item
from streams.cli import cli
from streams.contracts.messages import Interaction
from streams.contracts.serde import encode_json
from tests.conftest import BUNDLE
from tests.streams.desk import assert_one_line
from tests.training.evaluation.small_shop import ITEMS, random_events
from training.evaluation.report import Report
from training.ranker.bundle import with_ranker
from training.ranker.examples import read_examples
from training.ranker.network import to_onnx, unfitted

BASELINES = {
    "popularity", "recent popularity", "item-kNN", "item-kNN, last item", "V-SkNN", "V-SkNN, by step", "repeat",
    "repeat, then popular", "encoder alone",
}  # fmt: skip
MORE_BASELINES = {"search": {"BM25", "click table"}, "next-basket": {"UP-CF@r", "TIFU-kNN"}}


class Workspace:
    """A folder with a catalogue, events and grades, and the command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(ITEMS, random_events(7, 150))
        self.file("grades.csv").write_text("query,docid,rating\nblack tea,i1,3\nblack tea,i5,0\nmilk,i3,1\n")

    def file(self, name: str) -> Path:
        return self.folder / name

    def write(self, items: Sequence[Item], events: Sequence[Interaction]) -> None:
        self.file("items.jsonl").write_bytes(b"\n".join(map(encode_json, items)))
        self.file("events.jsonl").write_bytes(b"\n".join(map(encode_json, events)))

    def evaluate(self, *options: str, given: Sequence[str] = ("--events", "events.jsonl")) -> Result:
        arguments = ["evaluate", "--catalog", str(self.file("items.jsonl")), given[0], str(self.file(given[1]))]
        runner = CliRunner(env={"COLUMNS": "100"})
        return runner.invoke(cli, [*arguments, "--json", str(self.file("out.json")), *options])

    def report(self) -> Report:
        return msgspec.json.decode(self.file("out.json").read_bytes(), type=Report)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.mark.parametrize("protocol", ["next-item", "next-basket", "search"])
def test_every_protocol_reports_all_metrics(workspace: Workspace, protocol: str) -> None:
    result = workspace.evaluate(
        "--protocol", protocol, "--test-share", "0.5", "--html", str(workspace.file("out.html"))
    )
    assert result.exit_code == 0, result.output
    assert "…" not in result.stdout
    report = workspace.report()
    assert (report.schema, report.version, report.protocol) == ("intentstream-evaluation", 1, protocol)
    expected = BASELINES | MORE_BASELINES.get(protocol, set())
    assert {row.name for row in report.rows if row.group == "baseline"} == expected
    assert report.best_baseline in expected
    for row in report.rows:
        for metric in row.metrics.values():
            for found in metric.values():
                assert 0 <= found.low <= found.high <= 1
                assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert {each.baseline for each in report.versus} == expected
    assert sum(each.targets for each in report.slices if each.by == "item") == sum(
        each.targets for each in report.slices if each.by == "shopper"
    )
    # The shipped bundle has no sequence model.
    sources = set(report.settings["sources"])  # type: ignore[arg-type]
    assert {each.source for each in report.worth} == sources - {"sequence"}
    assert report.data.events == 150
    page = workspace.file("out.html").read_text()
    assert page.count("<svg") >= 5
    assert not re.search(r"(src|href)=[\"']?(http|//)|@import|url\(http", page)
    assert all(row.name in page for row in report.rows)


def test_reports_are_deterministic_except_for_times(workspace: Workspace) -> None:
    def without_times(value: Any) -> Any:
        if isinstance(value, dict):
            times = {"measured_at", "rank_us", "learn_us", "stages_us"}
            return {name: without_times(each) for name, each in value.items() if name not in times}
        return [without_times(each) for each in value] if isinstance(value, list) else value

    found = []
    for _ in range(2):
        assert workspace.evaluate("--sample", "9", "--seed", "3", "--test-share", "0.8").exit_code == 0
        found.append(without_times(json.loads(workspace.file("out.json").read_bytes())))
    assert found[0] == found[1]
    assert found[0]["data"]["cases"] == 9 < found[0]["data"]["cases_found"]


def test_the_lists_of_a_placement_are_measured(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workspace.file("placements.toml")
    path.write_text('[placements.drinks]\nk = 3\nsources = ["short_term", "query"]\nfilter.brands = ["nobody"]\n')
    monkeypatch.setenv("INTENTSTREAM_PLACEMENTS_FILE", str(path))
    result = workspace.evaluate("--placement", "drinks")
    assert result.exit_code == 0, result.output
    report = workspace.report()
    assert report.options["placement"] == "drinks"
    rows = {row.name: row for row in report.rows}
    assert {each.source for each in report.worth} == {"short_term", "query"}
    assert rows["intentstream"].coverage == {"1": 0.0, "5": 0.0, "10": 0.0, "20": 0.0}  # no item is of this brand
    assert rows["popularity"].coverage["20"] > 0
    assert_one_line(
        workspace.evaluate("--placement", "home"), 2, "placement: required one of default, drinks, got 'home'"
    )
    given = ("--judgements", "grades.csv")
    assert "--placement needs --events" in workspace.evaluate("--placement", "drinks", given=given).output


def test_list_lengths_and_ablation_are_options(workspace: Workspace) -> None:
    assert workspace.evaluate("-k", "7,3", "--no-ablation").exit_code == 0
    report = workspace.report()
    assert report.worth == []
    assert report.primary == (("hr", 7), ("mrr", 7))
    assert set(report.rows[0].metrics["ndcg"]) == {"3", "7"}


def test_a_fitted_ranker_is_evaluated(workspace: Workspace) -> None:
    workspace.write(ITEMS, random_events(7, 400))
    result = workspace.evaluate("--ranker", "fitted")
    assert result.exit_code == 0, result.output
    assert "fitted ranker" in result.output
    assert workspace.report().model.ranker == "fitted"


def test_unknown_items_count_as_misses_and_are_reported(workspace: Workspace) -> None:
    workspace.write(ITEMS[:4], random_events(7, 150))
    result = workspace.evaluate()
    assert result.exit_code == 0, result.output
    assert "cannot be recommended" in " ".join(result.output.split())
    data = workspace.report().data
    assert 0 < data.unknown_share < 1
    assert all(row.metrics["hr"]["20"].value <= 1 - data.unknown_targets + 1e-9 for row in workspace.report().rows)


def test_graded_queries_are_evaluated_without_events(workspace: Workspace) -> None:
    result = workspace.evaluate("--html", str(workspace.file("out.html")), given=("--judgements", "grades.csv"))
    assert result.exit_code == 0, result.output
    report = workspace.report()
    assert report.protocol == "judgements"
    assert [row.name for row in report.rows] == ["intentstream", "encoder alone", "BM25"]
    assert report.rows[0].metrics["ndcg"]["10"].value == 1
    assert "1 of 2 searches" in result.output
    assert "<svg" in workspace.file("out.html").read_text()


def test_unusable_data_is_an_error_of_one_line(workspace: Workspace) -> None:
    assert_one_line(workspace.evaluate("--test-from", "2030-01-01"), 2, "--test-from: required events from")
    workspace.write(ITEMS, [])
    assert_one_line(workspace.evaluate(), 2, "at least one interaction")
    workspace.write(ITEMS, random_events(1, 1))
    assert_one_line(workspace.evaluate(), 2, "next-item: required a session with at least two items")
    workspace.write([Item(item_id="other", title="Other")], random_events(7, 150))
    assert_one_line(workspace.evaluate(), 2, "got none of them")
    assert not workspace.file("out.json").exists()


def test_either_events_or_grades_are_required(workspace: Workspace) -> None:
    both = workspace.evaluate("--judgements", str(workspace.file("grades.csv")))
    neither = CliRunner().invoke(cli, ["evaluate", "--catalog", str(workspace.file("items.jsonl"))])
    for result in (both, neither):
        assert result.exit_code == 2
        assert "required --events or --judgements" in result.output


@pytest.mark.parametrize("lengths", ["0", "a", "1,101", ""])
def test_invalid_list_lengths_are_a_usage_error(workspace: Workspace, lengths: str) -> None:
    assert workspace.evaluate("-k", lengths).exit_code == 2


def test_the_report_opens_with_a_verdict(workspace: Workspace) -> None:
    result = workspace.evaluate("--test-share", "0.5", "-k", "1,2", "--html", str(workspace.file("out.html")))
    assert result.exit_code == 0, result.output
    report = workspace.report()
    found = report.verdict
    assert found is not None
    assert found.baseline == report.best_baseline
    assert found.sentence in workspace.file("out.html").read_text()
    # A pipe also gets the bar of the encoding.
    printed = " ".join(result.stdout.split("0:00:00", 1)[1].split())
    assert printed.startswith(" ".join(found.sentence.split()))
    words = {"better": "Better than", "worse": "Worse than", "undecided": "Not distinguishable from"}[found.outcome]
    assert found.sentence.startswith(f"{words} the best baseline ({found.baseline}): HR@2 ")
    expected = next(each for each in report.versus if (each.baseline, each.metric) == (found.baseline, "hr"))
    assert found.difference == expected.difference
    assert found.difference.value == pytest.approx(found.ours - found.theirs)


@pytest.mark.parametrize("protocol", ["next-item", "next-basket", "search"])
def test_probabilities_are_compared_with_what_shoppers_did(workspace: Workspace, protocol: str) -> None:
    result = workspace.evaluate("--protocol", protocol, "--html", str(workspace.file("out.html")))
    assert result.exit_code == 0, result.output
    found = workspace.report().calibration
    assert found is not None
    assert len(found.tenths) == 10
    predicted = [each.predicted for each in found.tenths]
    assert predicted == sorted(predicted)
    assert "Calibration: probabilities of the items of" in result.stdout
    assert "observed: share acted on" in workspace.file("out.html").read_text()


def test_two_runs_are_compared(workspace: Workspace) -> None:
    def written(name: str, *options: str) -> str:
        assert workspace.evaluate("--test-share", "0.5", "--no-ablation", *options).exit_code == 0
        workspace.file("out.json").rename(workspace.file(name))
        return str(workspace.file(name))

    def compared(*arguments: str) -> Result:
        return CliRunner(env={"COLUMNS": "100"}).invoke(cli, ["evaluate-compare", *arguments])

    one, other = written("a.json"), written("b.json", "--refresh", "3600")
    html, values = workspace.file("compare.html"), workspace.file("compare.json")
    result = compared(one, other, "--html", str(html), "--json", str(values))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("B: ")
    assert "paired, bootstrap over shoppers" in result.stdout
    assert "behaviour_interval_seconds" in result.stdout
    assert "HR@20" in html.read_text()
    assert {each["metric"] for each in json.loads(values.read_bytes())["metrics"]} == {"hr", "mrr"}
    sampled = written("c.json", "--sample", "9")
    assert_one_line(compared(one, sampled), 2, "required two evaluations of the same cases")
    assert compared(one, sampled, "--unpaired").exit_code == 0
    workspace.file("other.json").write_text("{}")
    assert_one_line(compared(one, str(workspace.file("other.json"))), 2, "other.json: required a file of")


def test_graded_queries_can_be_compared(workspace: Workspace) -> None:
    for name in ("a.json", "b.json"):
        assert workspace.evaluate(given=("--judgements", "grades.csv")).exit_code == 0
        workspace.file("out.json").rename(workspace.file(name))
    result = CliRunner().invoke(cli, ["evaluate-compare", *(str(workspace.file(n)) for n in ("a.json", "b.json"))])
    assert result.exit_code == 0, result.output
    assert "B: not distinguishable from A: NDCG@10" in result.stdout


def test_a_ranker_fitted_to_the_test_period_is_reported(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [str(workspace.file(name)) for name in ("items.jsonl", "events.jsonl")]
    arguments = ["--catalog", files[0], "--events", files[1], "--output", str(tmp_path / "shop" / "2"), "--force"]
    fitted = CliRunner().invoke(cli, ["train-ranker", *arguments])
    assert fitted.exit_code == 0, fitted.output
    monkeypatch.setenv("INTENTSTREAM_MODEL_PATH", str(tmp_path / "shop" / "2"))
    result = workspace.evaluate()
    assert result.exit_code == 0, result.output
    assert "The model's ranker was fitted to the test period (about 100% of what is tested)" in result.stdout
    assert workspace.report().model.known_share == 1
    assert "was fitted to" not in workspace.evaluate("--ranker", "fitted").stdout
    monkeypatch.delenv("INTENTSTREAM_MODEL_PATH")
    assert "was fitted to" not in workspace.evaluate().stdout


def test_a_ranker_fitted_to_the_graded_searches_is_reported(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [str(workspace.file(name)) for name in ("items.jsonl", "grades.csv", "grades.npz")]
    arguments = ["--catalog", files[0], "--judgements", files[1], "--output", files[2]]
    assert CliRunner().invoke(cli, ["examples", *arguments]).exit_code == 0
    with_ranker(BUNDLE, tmp_path / "shop" / "2", to_onnx(unfitted()), read_examples(Path(files[2])).fitted_to)
    monkeypatch.setenv("INTENTSTREAM_MODEL_PATH", str(tmp_path / "shop" / "2"))
    result = workspace.evaluate(given=("--judgements", "grades.csv"))
    assert "was fitted to the searches (about 100% of what is tested)" in " ".join(result.stdout.split())
