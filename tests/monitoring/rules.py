"""The alert rules and promtool's test cases, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "monitoring" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))


@dataclass(frozen=True, slots=True)
class Case:
    """An expectation of a promtool test: an alert, and the labels of its firing series."""

    alert: str
    fires: tuple[str, ...]


def groups() -> list[dict[str, Any]]:
    """Return the rule groups of all files, sorted by file name."""
    return [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def cases() -> list[Case]:
    """Return promtool's expectations of firing alerts."""
    firing = re.compile(r'^ALERTS\{alertname="(\w+)", alertstate="firing"\}$')
    expectations = (
        expectation
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for expectation in test["promql_expr_test"]
    )
    return [
        Case(match[1], tuple(sample["labels"] for sample in expectation["exp_samples"]))
        for expectation in expectations
        if (match := firing.match(expectation["expr"]))
    ]
