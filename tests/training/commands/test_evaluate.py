"""`evaluate` on a small shop: its output, and one clear line for each error."""

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
from tests.streams.desk import assert_one_line
from tests.training.evaluation.shop import ITEMS, shopping
from training.evaluation.report import Report

BASELINES = {
    "popularity", "recent popularity", "item-kNN", "item-kNN, last item", "V-SkNN", "V-SkNN, by step", "repeat",
    "repeat, then popular", "encoder alone",
}  # fmt: skip


class Shop:
    """A folder with a catalogue, events and grades."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(ITEMS, shopping(7, 150))
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
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize("protocol", ["next-item", "next-basket", "search"])
def test_every_protocol_gives_all_figures(shop: Shop, protocol: str) -> None:
    result = shop.evaluate("--protocol", protocol, "--test-share", "0.5", "--html", str(shop.file("out.html")))
    assert result.exit_code == 0, result.output
    assert "…" not in result.stdout
    report = shop.report()
    assert (report.schema, report.version, report.protocol) == ("intentstream-evaluation", 1, protocol)
    expected = BASELINES | ({"BM25"} if protocol == "search" else set())
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
    assert {each.source for each in report.worth} == set(report.settings["sources"])  # type: ignore[arg-type]
    assert report.data.events == 150
    page = shop.file("out.html").read_text()
    assert page.count("<svg") >= 5
    assert not re.search(r"(src|href)=[\"']?(http|//)|@import|url\(http", page)
    assert all(row.name in page for row in report.rows)


def test_two_runs_find_the_same_but_for_the_time_they_take(shop: Shop) -> None:
    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            times = {"measured_at", "rank_us", "learn_us", "stages_us"}
            return {name: timeless(each) for name, each in value.items() if name not in times}
        return [timeless(each) for each in value] if isinstance(value, list) else value

    found = []
    for _ in range(2):
        assert shop.evaluate("--sample", "9", "--seed", "3", "--test-share", "0.8").exit_code == 0
        found.append(timeless(json.loads(shop.file("out.json").read_bytes())))
    assert found[0] == found[1]
    assert found[0]["data"]["cases"] == 9 < found[0]["data"]["cases_found"]


def test_lengths_and_ablation_can_be_chosen(shop: Shop) -> None:
    assert shop.evaluate("-k", "7,3", "--no-ablation").exit_code == 0
    report = shop.report()
    assert report.worth == []
    assert report.primary == (("hr", 7), ("mrr", 7))
    assert set(report.rows[0].metrics["ndcg"]) == {"3", "7"}


def test_a_ranker_can_be_fitted_first(shop: Shop) -> None:
    shop.write(ITEMS, shopping(7, 400))
    result = shop.evaluate("--ranker", "fitted")
    assert result.exit_code == 0, result.output
    assert "fitted ranker" in result.output
    assert shop.report().model.ranker == "fitted"


def test_items_that_the_catalogue_lacks_are_misses_and_told(shop: Shop) -> None:
    shop.write(ITEMS[:4], shopping(7, 150))
    result = shop.evaluate()
    assert result.exit_code == 0, result.output
    assert "cannot be recommended" in " ".join(result.output.split())
    data = shop.report().data
    assert 0 < data.unknown_share < 1
    assert all(row.metrics["hr"]["20"].value <= 1 - data.unknown_targets + 1e-9 for row in shop.report().rows)


def test_grades_are_compared_without_events(shop: Shop) -> None:
    result = shop.evaluate("--html", str(shop.file("out.html")), given=("--judgements", "grades.csv"))
    assert result.exit_code == 0, result.output
    report = shop.report()
    assert report.protocol == "judgements"
    assert [row.name for row in report.rows] == ["intentstream", "encoder alone", "BM25"]
    assert report.rows[0].metrics["ndcg"]["10"].value == 1
    assert "1 of 2 searches" in result.output
    assert "<svg" in shop.file("out.html").read_text()


def test_what_cannot_be_evaluated_is_one_clear_line(shop: Shop) -> None:
    assert_one_line(shop.evaluate("--test-from", "2030-01-01"), 2, "--test-from: required events from")
    shop.write(ITEMS, [])
    assert_one_line(shop.evaluate(), 2, "at least one interaction")
    shop.write(ITEMS, shopping(1, 1))
    assert_one_line(shop.evaluate(), 2, "next-item: required a session with at least two items")
    shop.write([Item(item_id="other", title="Other")], shopping(7, 150))
    assert_one_line(shop.evaluate(), 2, "got none of them")
    assert not shop.file("out.json").exists()


def test_events_or_grades_are_required_not_both(shop: Shop) -> None:
    both = shop.evaluate("--judgements", str(shop.file("grades.csv")))
    neither = CliRunner().invoke(cli, ["evaluate", "--catalog", str(shop.file("items.jsonl"))])
    for result in (both, neither):
        assert result.exit_code == 2
        assert "required --events or --judgements" in result.output


@pytest.mark.parametrize("lengths", ["0", "a", "1,101", ""])
def test_lengths_that_are_none_are_a_usage_error(shop: Shop, lengths: str) -> None:
    assert shop.evaluate("-k", lengths).exit_code == 2
