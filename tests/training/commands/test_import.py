from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import cli
from training.commands import import_ as command

PRODUCTS = "Handle,Title,Variant SKU,Variant Price\ntee,Classic Tee,TEE-S,19.90\nbad,,,\n"
CALL = {
    "type": "track", "event": "Product Viewed", "messageId": "m1", "userId": "anna",
    "timestamp": "2026-01-31T13:00:00Z", "properties": {"sku": "TEE-S"},
}  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "products.csv").write_text(PRODUCTS)
    (tmp_path / "calls.jsonl").write_text(json.dumps(CALL) + "\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["import", *arguments, "--output", str(folder / "out")])


def test_it_writes_both_files_and_prints_the_report(files: Path) -> None:
    result = run(files, "--catalog", "shopify", str(files / "products.csv"), "--events", "segment",
                 str(files / "calls.jsonl"), "--currency", "EUR")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "1 items from 2 records\n"
        "  dropped: 1 × title is missing\n"
        "      products.csv:3: required, and not there\n"
        "1 events from 1 records: 1 view\n"
    )
    assert '"item_id":"tee"' in (files / "out" / "events.jsonl").read_text()
    report = json.loads((files / "out" / "import-report.json").read_text())
    assert report["items"]["dropped"]["title is missing"]["count"] == 1


def test_nothing_imported_exits_with_1_and_the_reasons(files: Path) -> None:
    (files / "products.csv").write_text("Handle,Title\na,\n")
    result = run(files, "--catalog", "shopify", str(files / "products.csv"))
    assert result.exit_code == 1
    assert "required at least one usable item, got none" in result.stderr
    assert "products.csv:2" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required --catalog or --events"),
        (("--timezone", "Mars/Base"), "required a zone"),
        (("--locale", "qq"), "required a locale"),
        (("--currency", "euro"), "required a code of ISO 4217"),
        (("--encoding", "morse"), "required an encoding"),
    ],
)
def test_a_wrong_option_exits_with_2(files: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(files, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_missing_file_and_an_empty_folder_are_errors(files: Path) -> None:
    assert run(files, "--catalog", "shopify", str(files / "absent.csv")).exit_code == 2
    (files / "empty").mkdir()
    result = run(files, "--events", "ga4", str(files / "empty"))
    assert result.exit_code == 2
    assert "required a folder with files" in result.stderr


def test_a_missing_extra_is_named(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "babel" else find_spec(name))
    result = run(files, "--catalog", "shopify", str(files / "products.csv"))
    assert result.exit_code == 2
    assert "import needs babel: pip install 'intentstream[import]'" in result.stderr


def test_control_characters_of_an_export_do_not_reach_the_terminal(files: Path) -> None:
    (files / "products.csv").write_text("Handle,Title,Variant Price\na,A,\x1b[31mred\n")
    result = run(files, "--catalog", "shopify", str(files / "products.csv"))
    assert result.exit_code == 0
    assert "\x1b" not in result.output
