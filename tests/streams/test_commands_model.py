"""`intentstream model` and `distill`: their output, and their errors."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from inference.manifest import read_manifest
from streams.cli import cli
from tests.conftest import BUNDLE
from training.commands import distill as command


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, tmp_path / BUNDLE.parent.name / BUNDLE.name))


def test_verify_has_a_line_for_each_check() -> None:
    result = CliRunner().invoke(cli, ["model", "verify", str(BUNDLE)])
    assert result.exit_code == 0, result.output
    *lines, last = result.output.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert last == f"{BUNDLE}: all checks passed"


def test_verify_fails_where_a_byte_is_wrong(copy: Path) -> None:
    (copy / "ranker.onnx").write_bytes(b"")
    result = CliRunner().invoke(cli, ["model", "verify", str(copy)])
    assert result.exit_code == 1
    assert "FAILED  ranker.onnx:" in result.output
    assert "checks failed" in result.output


def test_info_says_what_the_files_are_for_and_whose_data_they_come_from() -> None:
    result = CliRunner().invoke(cli, ["model", "info", str(BUNDLE)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for wanted in ("all-MiniLM-L6-v2", "Apache-2.0", "catalogue", "CUDA", "CC BY 4.0", "CC0", "NDCG@10", "as fast as"):
        assert wanted in result.output


def test_the_model_comes_with_its_licence() -> None:
    assert "LICENSE" in {each.name for each in read_manifest(BUNDLE).files}
    assert (BUNDLE / "LICENSE").read_bytes() == (BUNDLE.parents[2] / "LICENSE").read_bytes()


@pytest.mark.parametrize("credit", [("Our shop", "CC0", "Us, 2026"), None])
def test_the_card_credits_whose_data_they_are(tmp_path: Path, credit: tuple[str, str, str] | None) -> None:
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "title": "Oat milk"}\n')
    _, (source,) = command._material(tmp_path / "items.jsonl", None, None, None, credit)
    assert (source.name, source.licence, source.citation) == (credit or ("the catalogue given", "of its owner", "none"))


def test_list_tells_whole_bundles_from_broken_ones(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy, copy.with_name("2"))
    (copy.with_name("2") / "tokenizer.json").unlink()
    result = CliRunner().invoke(cli, ["model", "list", str(tmp_path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    rows = [line for line in result.output.splitlines() if BUNDLE.parent.name in line]
    assert ["yes" in row for row in rows] == [True, False]


def test_list_looks_where_workers_look_for_models(copy: Path, tmp_path: Path) -> None:
    copy.rename(copy.with_name("77"))
    environment = {"COLUMNS": "200", "INTENTSTREAM_MODEL_DIR": str(tmp_path)}
    result = CliRunner().invoke(cli, ["model", "list"], env=environment)
    assert result.exit_code == 0, result.output
    assert " 77 " in result.output


def test_a_folder_without_bundles_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["model", "list", str(tmp_path)])
    assert result.exit_code == 1
    assert "required bundles" in result.output


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "torch" else importlib.util.find_spec("re"))
    result = CliRunner().invoke(cli, ["distill", "--output", str(tmp_path / "shop" / "1")])
    assert result.exit_code == 2
    assert "needs torch, not installed: pip install 'intentstream[distill]'" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "required --catalog or --data, or both"), (("--events", "events.jsonl"), "--events requires --catalog")],
)
def test_distill_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: importlib.util.find_spec("re"))
    monkeypatch.chdir(tmp_path)
    Path("events.jsonl").touch()
    result = CliRunner().invoke(cli, ["distill", *arguments, "--output", "shop/1"])
    assert result.exit_code == 2
    assert message in result.output
