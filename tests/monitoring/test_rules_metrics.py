"""The rules use metrics, labels and label values that workers export from the start."""

from __future__ import annotations

import re

import pytest

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


def selects(matchers: str, labels: dict[str, str]) -> bool:
    return all(holds(operator, value, labels.get(name, "")) for name, operator, value in MATCHER.findall(matchers))


def holds(operator: str, wanted: str, value: str) -> bool:
    found = value == wanted if operator in {"=", "!="} else re.fullmatch(wanted, value) is not None
    return found == (not operator.startswith("!"))
