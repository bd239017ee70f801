"""`intentstream assets check`: the report and the exit code for samples of a producer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streams.cli import cli

Change = Callable[[int, dict[str, Any]], dict[str, Any]]
RULES = """
[[expectation]]
field = "session_id"
kind = "completeness"

[[expectation]]
field = "price"
kind = "range"
high = 100
"""


def _events(folder: Path, change: Change = lambda _, event: event) -> str:
    """Write a sample: 200 purchases of 50 shoppers."""
    start = datetime.now(UTC) - timedelta(hours=1)
    lines = [
        change(
            place,
            {
                "type": "purchase", "event_id": f"e{place}", "user_id": f"u{place % 50}", "session_id": "s",
                "occurred_at": (start + timedelta(seconds=place)).isoformat(), "item_id": f"i{place % 9}",
                "price": 1 + place % 70, "quantity": 1, "context": {"device": "phone"},
            },
        )
        for place in range(200)
    ]  # fmt: skip
    file = folder / "events.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return str(file)


def _check(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["assets", "check", *arguments])


@pytest.fixture
def rules(tmp_path: Path) -> str:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.replace('kind = "completeness"', 'kind = "completeness"\ntolerance = 0.05'))
    return str(file)


def test_a_sample_as_expected_passes(tmp_path: Path, rules: str) -> None:
    result = _check(_events(tmp_path), "--expectations", rules)
    assert (result.exit_code, result.stdout) == (0, "messages: 200; all as expected\n")


def test_lines_that_break_the_contract_are_named(tmp_path: Path) -> None:
    file = _events(tmp_path, lambda place, event: {**event, "user_id": 7} if place == 41 else event)
    result = _check(file)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{file}:42: $.user_id: required")
    assert result.stdout.endswith("messages: 199; lines that break the contract: 1; findings: 0\n")


FAULTS: dict[str, Change] = {
    "range": lambda _, event: {**event, "price": 100 * event["price"]},
    "completeness": lambda _, event: {name: value for name, value in event.items() if name != "session_id"},
    "unknown_items": lambda _, event: {**event, "item_id": f"sku-{event['item_id']}"},
    "clock": lambda _, event: {**event, "occurred_at": (datetime.now(UTC) + timedelta(minutes=9)).isoformat()},
    "personal_data": lambda _, event: (
        {"type": "search", "query": "ann@example.org"}
        | {name: event[name] for name in ("event_id", "user_id", "occurred_at", "session_id")}
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_departure_is_a_finding(tmp_path: Path, rules: str, kind: str) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text("\n".join(json.dumps({"item_id": f"i{place}", "title": "thing"}) for place in range(9)))
    file = _events(tmp_path, FAULTS[kind])
    arguments = (file, "--items", str(items), "--expectations", rules, "--producer", "shop")
    result = _check(*arguments, "--json")
    assert result.exit_code == 1, result.output
    report = json.loads(result.stdout)
    assert [(each["producer"], each["kind"]) for each in report["findings"]] == [("shop", kind)]
    assert (report["passed"], report["messages"], report["invalid"]) == (False, 200, [])
    table = _check(*arguments)
    assert table.exit_code == 1
    assert report["findings"][0]["sentence"] in table.stdout
    assert "lines that break the contract: 0; findings: 1" in table.stdout


def test_wrong_use_is_an_error_of_use(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[expectation]]\nlow = 2\nhigh = 1\n")
    result = _check(_events(tmp_path), "--expectations", str(broken))
    assert result.exit_code == 2
    assert f"{broken}:1: low: required at most high (1), got 2" in result.stderr
    assert _check("missing.jsonl").exit_code == 2
    assert _check().exit_code == 2
