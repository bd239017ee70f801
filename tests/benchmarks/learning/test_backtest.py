"""The loop over past events: lists are judged before it learns from them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.learning.backtest import backtest
from benchmarks.learning.shop import BRAND, ShopSize, SimulatedShop
from benchmarks.learning.simulation import RULES
from inference.bundle import Bundle
from streams.replay import Replay, for_long_logs
from streams.settings import load_settings
from tests.conftest import BUNDLE
from tests.training.learning.acts import answer
from training.learning.rules import HOUR_MS


def test_lists_are_ordered_by_the_ranker_of_their_time(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "models" / BUNDLE.parent.name / BUNDLE.name
    shutil.copytree(BUNDLE, folder)
    settings = for_long_logs(load_settings({"model_path": folder, "model_dir": tmp_path / "models"}, env_file=None))
    shop = SimulatedShop(ShopSize(items=150, sessions_per_day=120, shoppers=100), 0, lambda _: BRAND)
    events = [answered.interaction for answered in shop.run(2, lambda trigger: answer(trigger, []))]
    rules = replace(RULES, check_ms=6 * HOUR_MS, recent_ms=6 * HOUR_MS)
    result = backtest(settings, bundle, Replay(settings, bundle, shop.catalogue(bundle)), events, rules, tmp_path)
    (first, *_) = result.published
    times, values = np.concatenate(result.times), np.concatenate(result.values)
    assert (np.diff(times) >= 0).all()
    assert len(np.unique(times)) > 500
    # Until the first publication both columns are of the same ranker. Later lists are ordered better.
    before = times < first.at_ms - 6 * HOUR_MS
    np.testing.assert_array_equal(values[before, 0], values[before, 1])
    late = times > first.at_ms
    assert values[late, 1].mean() > values[late, 0].mean() + 0.05
    assert f"Published: {first.version} on 2026-01-0" in result.report()
