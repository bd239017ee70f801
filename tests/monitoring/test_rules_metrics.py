"""The rules use metrics and label values that workers export from the start."""

from __future__ import annotations

import re

import pytest

from tests.monitoring.rules import rules
from tests.monitoring.worker_metrics import WORKER_METRICS

SELECTOR = re.compile(r"(?<![:\w])(intentstream_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|=|!=)"([^"]*)"')
SELECTORS = sorted({match.groups(default="") for rule in rules() for match in SELECTOR.finditer(rule["expr"])})


def test_the_rules_have_selectors() -> None:
    assert len(SELECTORS) > 20


@pytest.mark.parametrize(("name", "matchers"), SELECTORS)
def test_each_selector_matches_a_series_of_a_new_worker(name: str, matchers: str) -> None:
    assert name in WORKER_METRICS
    # A metric with labels such as partitions has no series yet.
    if WORKER_METRICS[name]:
        assert any(selects(matchers, sample.labels) for sample in WORKER_METRICS[name])


def selects(matchers: str, labels: dict[str, str]) -> bool:
    return all(holds(operator, value, labels.get(name, "")) for name, operator, value in MATCHER.findall(matchers))


def holds(operator: str, expected: str, value: str) -> bool:
    found = value == expected if operator in {"=", "!="} else re.fullmatch(expected, value) is not None
    return found == (not operator.startswith("!"))
