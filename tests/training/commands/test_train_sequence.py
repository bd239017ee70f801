"""`train-sequence`: a new version whose source predicts the next item, resumed training, and refused arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("torch", reason="needs the extra `distill`")

from inference.bundle import load_bundle
from streams.cli import cli
from streams.replay import Replay
from streams.settings import load_settings

TITLES = ("Green tea", "Espresso beans", "Oat milk", "Sea salt", "Bananas", "Chocolate", "Soap", "Candles")


def shop(folder: Path, shoppers: int = 400) -> tuple[Path, Path]:
    """Write a shop in which item n is followed by item n + 1, and return its two files."""
    folder.mkdir(parents=True, exist_ok=True)
    items, events = folder / "items.jsonl", folder / "events.jsonl"
    items.write_text("\n".join(json.dumps({"item_id": f"i{n}", "title": title}) for n, title in enumerate(TITLES)))
    rows = [
        {
            "type": "view", "event_id": f"{shopper}-{n}", "user_id": f"u{shopper}",
            "occurred_at": f"2026-01-{1 + shopper // 24:02}T{shopper % 24:02}:{n:02}:00Z",
            "item_id": f"i{(shopper + n) % len(TITLES)}",
        }
        for shopper in range(shoppers) for n in range(4)
    ]  # fmt: skip
    events.write_text("\n".join(map(json.dumps, rows)))
    return items, events


def train(output: Path, *arguments: str | Path) -> Result:
    given = ["train-sequence", "--output", str(output), "--width", "32", "--threads", "1", *map(str, arguments)]
    return CliRunner().invoke(cli, given)


def test_the_new_version_predicts_the_next_item(tmp_path: Path) -> None:
    items, events = shop(tmp_path)
    output = tmp_path / "shop" / "2"
    result = train(output, "--catalog", items, "--events", events, "--epochs", "40")
    assert result.exit_code == 0, result.output
    assert "trained without them: HR@20 " in result.output
    assert "is ready, trained on all events in " in result.output
    made = load_bundle(output)
    assert made.sequence is not None
    assert len(made.sequence.keys) == len(TITLES)
    from streams.contracts.jsonlines import read_events, read_items
    from streams.items.encoded import encode_catalogue

    settings = load_settings({"list_size": 3, "sources": ["sequence"]})
    catalogue = [line.message for line in read_items(items)]
    replay = Replay(settings, made, encode_catalogue(made, catalogue))
    following = {f"i{n}": f"i{(n + 1) % len(TITLES)}" for n in range(len(TITLES))}
    own = [getattr(line.message, "item_id", "") for line in read_events(events)]
    first: list[str] = []
    for folded in replay.fold(line.message for line in read_events(events)):
        # In the order of the source: the shipped ranker does not know it.
        found = replay.recommender.retrieve(folded.queries)
        rows = found.candidates.rows[found.candidates.starts[:-1]]
        first += [replay.recommender.catalogue.item(row).item_id for row in rows.tolist()]
    right = sum(following[item] == listed for item, listed in zip(own, first, strict=True))
    assert right > 0.75 * len(first)


def test_an_epoch_that_was_not_measured_before_a_kill_is_measured_by_the_next_run(tmp_path: Path) -> None:
    items, events = shop(tmp_path, shoppers=20)
    record = tmp_path / "work" / "held-out.jsonl"
    arguments = ("--catalog", items, "--events", events, "--epochs", "2", "--work", tmp_path / "work")
    assert train(tmp_path / "shop" / "2", *arguments).exit_code == 0
    whole = record.read_text()
    first, second = whole.splitlines(keepends=True)
    record.write_text(first)
    assert train(tmp_path / "shop" / "3", *arguments).exit_code == 0
    assert record.read_text() == first + second == whole
    record.unlink()
    result = train(tmp_path / "shop" / "4", *arguments)
    assert result.exit_code != 0
    assert "required the figures of 2 epochs, got 0" in result.output


def test_a_second_run_resumes_and_refuses_other_data(tmp_path: Path) -> None:
    items, events = shop(tmp_path, shoppers=20)
    arguments = ("--catalog", items, "--events", events, "--epochs", "2", "--work", tmp_path / "work")
    one, two = tmp_path / "shop" / "2", tmp_path / "shop" / "3"
    assert train(one, *arguments).exit_code == 0
    assert train(two, *arguments).exit_code == 0
    assert (one / "sequence.onnx").read_bytes() == (two / "sequence.onnx").read_bytes()
    shop(tmp_path, shoppers=21)
    result = train(tmp_path / "shop" / "4", *arguments)
    assert result.exit_code != 0
    assert "a checkpoint of other data or settings" in result.output
    assert not (tmp_path / "shop" / "4").exists()


def test_several_shops_share_a_model_without_residuals(tmp_path: Path) -> None:
    one, two = shop(tmp_path / "one", shoppers=20), shop(tmp_path / "two", shoppers=12)
    output = tmp_path / "shop" / "2"
    result = train(output, "--catalog", one[0], "--events", one[1], "--catalog", two[0], "--events", two[1],
                   "--epochs", "2")  # fmt: skip
    assert result.exit_code == 0, result.output
    made = load_bundle(output).sequence
    assert made is not None
    assert not len(made.keys)
    assert result.output.count("HR@20") == 2


def test_an_existing_version_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    items, events = shop(tmp_path, shoppers=8)
    (tmp_path / "shop" / "2").mkdir(parents=True)
    result = train(tmp_path / "shop" / "2", "--catalog", items, "--events", events)
    assert "a version is never changed" in result.output
    result = train(tmp_path / "shop" / "3", "--catalog", items, "--catalog", items, "--events", events)
    assert "required one --events for each --catalog, got 2 catalogues and 1 files" in result.output
