"""`intentstream assets` where it needs no Kafka: differences of files, and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from streams.cli import cli
from tests.streams.assets.inventories import EVIL, small_inventory


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["assets", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """An inventory, and one with more partitions and without the untrusted producer."""
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    content = msgspec.json.encode(small_inventory())
    before.write_bytes(content)
    changed: dict[str, Any] = json.loads(content)
    for asset in changed["assets"]:
        if asset["id"] == "topic/clicks":
            asset["partitions"] = 16
            asset["producers"] = [each for each in asset["producers"] if each["name"] != EVIL]
    after.write_text(json.dumps(changed))
    return before, after


def test_a_breaking_difference_has_exit_code_1(files: tuple[Path, Path]) -> None:
    before, after = files
    same = run("diff", before, before)
    assert (same.exit_code, same.stdout) == (0, "No difference.\n")
    found = run("diff", before, after)
    assert found.exit_code == 1
    assert "breaks" in found.stdout
    assert "partitions" in found.stdout
    assert EVIL in found.stdout
    as_json = run("diff", before, after, "--json")
    assert [each["weight"] for each in json.loads(as_json.stdout)] == ["breaks", "check"]


def test_a_file_that_is_no_inventory_is_an_error(files: tuple[Path, Path], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"assets": 1}')
    found = run("diff", files[0], wrong)
    assert found.exit_code == 2
    assert "required the output of `assets show --json`" in found.output


def test_a_history_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    found = run("history", "volume", "--folder", tmp_path / "nothing")
    assert found.exit_code == 1
    assert "assets record" in found.output


def test_an_unknown_kind_is_refused() -> None:
    found = run("show", "--kind", "stars")
    assert found.exit_code == 2
    assert "required one of topic" in found.output


@pytest.mark.parametrize("name", ["show", "lineage", "trace", "export", "report", "diff", "record", "history"])
def test_every_command_has_an_example(name: str) -> None:
    assert "Example" in run(name, "--help").stdout
