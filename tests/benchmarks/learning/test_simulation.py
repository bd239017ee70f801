"""On a simulated shop whose taste changes, the loop recovers most of what the change cost within a day."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.learning.shop import ShopSize
from benchmarks.learning.simulation import CHANGE_DAY, RULES, Run, recovered, report
from tests.conftest import BUNDLE
from training.learning.rules import DAY_MS, HOUR_MS

SMALL = ShopSize(sessions_per_day=160, shoppers=160)
SELDOM = replace(RULES, check_ms=2 * HOUR_MS)


@pytest.mark.timeout(600)
def test_the_loop_recovers_what_a_change_of_taste_costs(tmp_path: Path) -> None:
    days = CHANGE_DAY + 1
    run, change_ms = Run(tmp_path, BUNDLE, SMALL, rules=SELDOM), CHANGE_DAY * DAY_MS
    loop = run.simulate(days)
    frozen = run.without_loop(days, loop, change_ms)
    assert frozen.rate(change_ms, change_ms + DAY_MS) < 0.8 * frozen.rate(change_ms - DAY_MS, change_ms)
    assert frozen.rate(0, change_ms) == loop.rate(0, change_ms)
    assert frozen.published
    assert len(loop.published) > len(frozen.published)
    share, low, _ = recovered(loop, frozen)
    assert share > 0.5
    assert low > 0.2
    assert "recovered" in report(loop, frozen, days)
