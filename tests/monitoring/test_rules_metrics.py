"""What the rules ask for is what workers tell: metrics, their labels, the values that these have from the start."""

from __future__ import annotations

import re

import pytest

from monitoring.slo import OBJECTIVE, THRESHOLD_S
from tests.monitoring.rules import rules
from tests.monitoring.told import TOLD

SELECTOR = re.compile(r"(?<![:\w])(intentstream_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|=|!=)"([^"]*)"')
SELECTORS = sorted({match.groups(default="") for rule in rules() for match in SELECTOR.finditer(rule["expr"])})


def test_the_rules_ask_for_something() -> None:
    assert len(SELECTORS) > 20


@pytest.mark.parametrize(("name", "matchers"), SELECTORS)
def test_each_selector_finds_what_a_new_worker_tells(name: str, matchers: str) -> None:
    assert name in TOLD
    # A metric whose labels are known later only, as partitions are, has no series yet.
    if TOLD[name]:
        assert any(selects(matchers, sample.labels) for sample in TOLD[name])


def test_late_is_what_the_objective_says() -> None:
    bounds = {sample.labels["le"] for sample in TOLD["intentstream_end_to_end_latency_seconds_bucket"]}
    asked = {match[3] for _, matchers in SELECTORS for match in MATCHER.finditer(matchers) if match[1] == "le"}
    assert asked == {f"{THRESHOLD_S:g}"} <= bounds


def test_alerts_compare_with_the_error_budget() -> None:
    burning = [rule["expr"] for rule in rules() if rule.get("labels", {}).get("slo") == "latency"]
    factors = [re.findall(r"> ([\d.]+) \* ([\d.]+)", expr) for expr in burning]
    budget = f"{1 - OBJECTIVE:.2g}"
    assert factors == [[(factor, budget)] * 2 for factor in ("14.4", "6", "1")]


def selects(matchers: str, labels: dict[str, str]) -> bool:
    return all(holds(operator, value, labels.get(name, "")) for name, operator, value in MATCHER.findall(matchers))


def holds(operator: str, wanted: str, value: str) -> bool:
    found = value == wanted if operator in {"=", "!="} else re.fullmatch(wanted, value) is not None
    return found == (not operator.startswith("!"))
