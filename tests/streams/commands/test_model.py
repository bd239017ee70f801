"""`intentstream model`: its output, and its errors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from inference.manifest_files import read_manifest
from streams.cli import cli
from tests.conftest import BUNDLE


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
