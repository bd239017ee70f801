"""`train-ranker`: its files and output, and no files after a failure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

pytest.importorskip("onnx", reason="needs the extra `train`")
pytest.importorskip("scipy", reason="needs the extra `train`")

from inference.bundle import load_bundle
from inference.manifest_files import read_manifest
from inference.ranking.features import FEATURES
from streams.cli import cli
from tests.training.ranker.lists import labelled

ITEMS = [{"item_id": f"i{n}", "title": f"{kind} tea {n}"} for n, kind in enumerate(("Green", "Black", "White") * 4)]


def train(output: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Result:
    runner = CliRunner(env=environment)
    return runner.invoke(cli, ["train-ranker", "--output", str(output), *map(str, arguments)])


def lines(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def views(sessions: int, length: int) -> list[dict[str, str]]:
    """Return sessions that view consecutive items."""
    return [
        {
            "type": "view", "event_id": f"{session}-{n}", "user_id": f"u{session}", "session_id": f"s{session}",
            "occurred_at": f"2026-01-01T{session:02}:{n:02}:00Z", "item_id": f"i{(session + n) % len(ITEMS)}",
        }
        for session in range(sessions) for n in range(length)
    ]  # fmt: skip


def test_a_ranker_is_fitted_to_events_with_a_report_of_its_quality(tmp_path: Path) -> None:
    items, events = lines(tmp_path / "items.jsonl", ITEMS), lines(tmp_path / "events.jsonl", views(20, 4))
    output = tmp_path / "shop" / "2"
    lineage = tmp_path / "lineage.jsonl"
    environment = {"INTENTSTREAM_ASSETS_LINEAGE": str(lineage)}
    report = tmp_path / "report.md"
    arguments = ("--catalog", items, "--events", events, "--after", "0", "--report", report)
    result = train(output, *arguments, environment=environment)
    assert result.exit_code == 0, result.output
    assert "Held out: " in result.output
    assert re.search(r"^ +this ranker( +[01]\.\d{3}){3} *$", result.output, re.MULTILINE)
    assert re.search(r"^ *browsing ", result.output.split("Probabilities, over all candidates")[1], re.MULTILINE)
    assert "|" not in result.output
    written = report.read_text()
    assert "| browsing | **this ranker** | " in written
    assert "| browsing | " in written.split("Probabilities, over all candidates")[1]
    assert "is ready, fitted to all 80 lists" in result.output
    assert "is a version of 'shop', not of " in result.stderr
    scores = load_bundle(output).scorer.score(np.eye(len(FEATURES), dtype=np.float32))
    assert len(set(scores.tolist())) > 1
    given = read_manifest(output).inputs
    assert [(each.part, each.name, each.bytes) for each in given] == [
        ("ranker", path.name, path.stat().st_size) for path in (items, events)
    ]
    event = json.loads(lineage.read_text())
    assert (event["job"]["name"], event["eventType"]) == ("train-ranker", "COMPLETE")
    assert [each["facets"]["version"]["datasetVersion"] for each in event["inputs"]] == [each.sha256 for each in given]


def test_grades_alone_are_enough_to_fit_an_order(tmp_path: Path) -> None:
    replace(labelled(FEATURES, lists=40), graded=np.ones(40, dtype=np.bool_)).write(tmp_path / "grades.npz")
    result = train(tmp_path / "shop" / "2", "--examples", tmp_path / "grades.npz")
    assert result.exit_code == 0, result.output
    assert "Probabilities: shoppers acted on nothing in these lists." in result.output
    assert load_bundle(tmp_path / "shop" / "2").version == "2"


def test_nothing_is_written_without_test_lists(tmp_path: Path) -> None:
    examples = labelled(FEATURES, lists=40)
    late = examples.groups >= 30
    unlabelled = np.where(late, 0, examples.labels)
    replace(examples, labels=unlabelled, relevant=(np.arange(40) < 30).astype(np.int64)).write(tmp_path / "short.npz")
    result = train(tmp_path / "shop" / "2", "--examples", tmp_path / "short.npz")
    assert result.exit_code != 0
    assert "last 15% of the lists, to test the ranker, got none in 6 lists" in result.output
    assert not (tmp_path / "shop").exists()


def test_a_worse_ranker_is_refused_unless_forced(tmp_path: Path) -> None:
    # The present ranker was fitted to the opposite of what the early lists teach, and the late lists agree with it.
    right = labelled(FEATURES, lists=400)
    right.write(tmp_path / "right.npz")
    assert train(tmp_path / "shop" / "1", "--examples", tmp_path / "right.npz").exit_code == 0
    early = right.groups < 340
    misled = right.features.copy()
    for column in (FEATURES.index("query"), FEATURES.index("popularity")):
        misled[early, column] = 1 - misled[early, column]
    replace(right, features=misled).write(tmp_path / "misled.npz")
    arguments = ("--examples", tmp_path / "misled.npz")
    environment = {"INTENTSTREAM_MODEL_PATH": str(tmp_path / "shop" / "1")}
    refused = train(tmp_path / "shop" / "2", *arguments, environment=environment)
    assert refused.exit_code == 1
    assert "no worse than the present one, got NDCG@20 browsing -0." in refused.output
    assert "use --force" in refused.output
    assert not (tmp_path / "shop" / "2").exists()
    forced = train(tmp_path / "shop" / "2", *arguments, "--force", environment=environment)
    assert forced.exit_code == 0, forced.output
    assert load_bundle(tmp_path / "shop" / "2").version == "2"


def test_too_few_lists_are_reported(tmp_path: Path) -> None:
    labelled(FEATURES, lists=60).write(tmp_path / "few.npz")
    result = train(tmp_path / "shop" / "2", "--examples", tmp_path / "few.npz")
    assert result.exit_code == 0, result.output
    assert "too few data. 6 held-out lists cannot exclude a loss above 0.02; that needs about 30." in result.output


def test_several_shops_choose_the_ranker_by_the_shop_that_is_left_out(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b", "c")):
        labelled(FEATURES, lists=60, seed=seed).write(tmp_path / f"{name}.npz")
    files = [f"first={tmp_path / 'a.npz'}", tmp_path / "b.npz", f"first={tmp_path / 'c.npz'}", tmp_path / "b.npz"]
    arguments = [part for file in files for part in ("--examples", str(file))]
    result = train(tmp_path / "shop" / "2", *arguments, "--units", "2")
    assert result.exit_code == 0, result.output
    assert "by a ranker fitted to the others, tested on all lists: first 120, b 60." in result.output
    assert re.search(r"^ +first +b +mean *$", result.output, re.MULTILINE)
    assert re.search(r"^ +seen +not seen +loss *$", result.output, re.MULTILINE)
    assert "is ready, fitted to all 240 lists" in result.output
    fixed = train(tmp_path / "shop" / "3", *arguments, "--decay", "0.01", "--units", "0")
    assert "by a ranker fitted to the others" not in fixed.output
    shown = train(tmp_path / "shop" / "4", *arguments, "--decay", "0.01", "--units", "0", "--leave-one-out")
    assert re.search(r"^ *no hidden units, penalty 0.01 ", shown.output, re.MULTILINE)


def test_one_shop_cannot_be_left_out(tmp_path: Path) -> None:
    labelled(FEATURES, lists=60).write(tmp_path / "a.npz")
    result = train(tmp_path / "shop" / "2", "--examples", tmp_path / "a.npz", "--leave-one-out")
    assert result.exit_code == 2
    assert "--leave-one-out: required several shops, got 1: add --examples" in result.output
