"""A ranker fitted before the test period replaces the bundle's, and uses no data of the test period."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.types import Vector
from streams.items.encoded import encode_catalogue
from streams.settings import load_settings
from tests.training.evaluation.small_shop import ITEMS, random_events
from training.evaluation import run
from training.evaluation.plan import Options, System
from training.evaluation.report import Report
from training.evaluation.run import evaluate
from training.ranker.gather import ExampleList

LENGTH = 80
OPTIONS = Options(
    protocol="next-item", measured_at=datetime(2026, 1, 1, tzinfo=UTC), ks=(1, 3), test_share=0.5, ablation=0
)


class ReversedRanker:
    """Reverses the order of the bundle's ranker."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def score(self, features: Vector) -> Vector:
        return np.asarray(-self._bundle.scorer.score(features), dtype=np.float32)


def silent(_phase: str, _total: int) -> Callable[[int], None]:
    return lambda _: None


def run_evaluation(
    bundle: Bundle, seen: list[ExampleList] | None = None, later: int = 12, protocol: str = "next-item"
) -> Report:
    def fit(lists: Sequence[ExampleList]) -> ReversedRanker:
        seen.extend(lists)  # type: ignore[union-attr]
        return ReversedRanker(bundle)

    settings = load_settings({"list_size": 3, "trending_interval_seconds": 300, "behaviour_interval_seconds": 300})
    records = encode_catalogue(bundle, ITEMS)
    system = System(settings, bundle, ITEMS, records, None if seen is None else fit)
    events = [*random_events(11, LENGTH), *random_events(later, LENGTH, start=LENGTH)]
    return evaluate(system, events, replace(OPTIONS, protocol=protocol), silent)


def test_a_fitted_ranker_changes_only_the_ranked_lists(bundle: Bundle) -> None:
    lists: list[ExampleList] = []
    shipped, fitted = run_evaluation(bundle), run_evaluation(bundle, lists)
    assert (shipped.model.ranker, fitted.model.ranker) == ("bundle", "fitted")
    assert lists
    for one, other in zip(shipped.rows, fitted.rows, strict=True):
        same = one.metrics == other.metrics
        assert same == (one.name != "intentstream"), one.name


def test_the_ranker_is_fitted_without_the_test_period(bundle: Bundle) -> None:
    one: list[ExampleList] = []
    other: list[ExampleList] = []
    run_evaluation(bundle, one, later=12)
    run_evaluation(bundle, other, later=13)
    assert len(one) == len(other) > 0
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.features, second.features)
        np.testing.assert_array_equal(first.labels, second.labels)


def test_a_ranker_for_baskets_learns_from_more_arrivals(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LISTS", 12)
    seen: dict[str, list[ExampleList]] = {"next-item": [], "next-basket": []}
    for protocol, lists in seen.items():
        run_evaluation(bundle, lists, protocol=protocol)
    # The same lists after actions, and more of arrivals.
    assert len(seen["next-basket"]) > len(seen["next-item"]) > 0


def test_learning_and_ranking_have_their_own_progress(bundle: Bundle) -> None:
    phases: list[tuple[str, int, list[int]]] = []

    def start_phase(name: str, total: int) -> Callable[[int], None]:
        phases.append((name, total, []))
        return phases[-1][2].append

    settings = load_settings({"list_size": 3})
    system = System(settings, bundle, ITEMS, encode_catalogue(bundle, ITEMS))
    evaluate(system, random_events(11, 2400), replace(OPTIONS, sample=20), start_phase)
    found = {name: (total, sum(steps)) for name, total, steps in phases}
    assert list(found) == ["Baselines: learning", "Baselines", "Intentstream: learning", "Intentstream", "Intervals"]
    for name in ("Intentstream: learning", "Intentstream"):
        assert found[name][0] == found[name][1] > 0
    total = found["Baselines: learning"][0] + found["Baselines"][0]
    assert total == found["Intentstream: learning"][0] + found["Intentstream"][0]
