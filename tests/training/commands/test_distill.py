"""`distill`: data credits and errors."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import cli
from training.commands import distill as command


@pytest.mark.parametrize("credit", [("Our shop", "CC0", "Us, 2026"), None])
def test_the_card_credits_the_owner_of_the_data(tmp_path: Path, credit: tuple[str, str, str] | None) -> None:
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "title": "Oat milk"}\n')
    options = command.DistillOptions(
        catalog=tmp_path / "items.jsonl", events=None, until=None, data=None, output=tmp_path / "shop" / "1", work=None,
        seed=7, scale=1.0, threads=1, credit=credit, teacher="english",
    )  # fmt: skip
    _, (source,) = command.read_texts(options)
    assert (source.name, source.licence, source.citation) == (credit or ("the catalogue given", "of its owner", "none"))


def test_missing_torch_is_an_error_with_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "torch" else importlib.util.find_spec("re"))
    result = CliRunner().invoke(cli, ["distill", "--output", str(tmp_path / "shop" / "1")])
    assert result.exit_code == 2
    assert "needs torch, not installed: pip install 'intentstream[distill]'" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "required --catalog or --data, or both"), (("--events", "events.jsonl"), "--events requires --catalog")],
)
def test_missing_options_are_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: importlib.util.find_spec("re"))
    monkeypatch.chdir(tmp_path)
    Path("events.jsonl").touch()
    result = CliRunner().invoke(cli, ["distill", *arguments, "--output", "shop/1"])
    assert result.exit_code == 2
    assert message in result.output
