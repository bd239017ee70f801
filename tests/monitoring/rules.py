"""The alert rules, parsed for the tests."""

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
    """An alert at a moment of a story, and the labels of those that fire then."""

    alert: str
    fires: tuple[str, ...]


def groups() -> list[dict[str, Any]]:
    """Return the groups of all files, in the order of the files' names."""
    return [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def cases() -> list[Case]:
    """Return what the cases for promtool say of firing alerts."""
    asked = re.compile(r'^ALERTS\{alertname="(\w+)", alertstate="firing"\}$')
    expectations = (
        expectation
        for path in CASES
        for story in yaml.safe_load(path.read_text())["tests"]
        for expectation in story["promql_expr_test"]
    )
    return [
        Case(match[1], tuple(sample["labels"] for sample in expectation["exp_samples"]))
        for expectation in expectations
        if (match := asked.match(expectation["expr"]))
    ]
