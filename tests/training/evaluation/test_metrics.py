"""Metrics of lists and their intervals, on examples computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.bootstrap import interval, resampled_means
from training.evaluation.metrics import NOTHING, Targets, at_k, coverage, gains, ideal, novelty


def targets(*relevant: dict[int, float]) -> Targets:
    return Targets(
        np.cumsum([0, *map(len, relevant)]),
        np.array([item for each in relevant for item in each], dtype=np.int32),
        np.array([grade for each in relevant for grade in each.values()], dtype=np.float32),
    )


LISTS = np.array([[4, 2, 9, 7], [1, 2, 3, NOTHING], [5, 6, 7, 8]], dtype=np.int32)
RELEVANT = targets({2: 1.0, 7: 3.0, 50: 1.0}, {9: 1.0}, {5: 1.0})


def test_metrics_on_an_example_computed_by_hand() -> None:
    found = gains(LISTS, RELEVANT)
    assert found.tolist() == [[0, 1, 0, 3], [0, 0, 0, 0], [1, 0, 0, 0]]
    at_4, at_1 = at_k(found, RELEVANT, 4), at_k(found, RELEVANT, 1)
    assert at_4["hr"].tolist() == [1, 0, 1]
    assert at_4["mrr"].tolist() == [0.5, 0, 1]
    assert at_4["precision"].tolist() == [0.5, 0, 0.25]
    assert at_4["recall"].tolist() == pytest.approx([2 / 3, 0, 1])
    assert at_4["f1"].tolist() == pytest.approx([2 * 0.5 * (2 / 3) / (0.5 + 2 / 3), 0, 0.4])
    best = 3 + 1 / np.log2(3) + 1 / np.log2(4)
    assert at_4["ndcg"].tolist() == pytest.approx([(1 / np.log2(3) + 3 / np.log2(5)) / best, 0, 1])
    assert at_1["hr"].tolist() == [0, 0, 1]
    assert ideal(RELEVANT, 1).tolist() == [3, 1, 1]


def test_selected_targets_keep_their_items() -> None:
    some = RELEVANT.take(np.array([2, 0]))
    assert some.starts.tolist() == [0, 1, 4]
    assert some.items.tolist() == [5, 2, 7, 50]
    assert some.cases.tolist() == [0, 1, 1, 1]


def test_empty_lists_and_empty_targets_have_no_gains() -> None:
    empty = np.full((3, 4), NOTHING, dtype=np.int32)
    assert not gains(empty, RELEVANT).any()
    assert not gains(LISTS, targets({}, {}, {})).any()


def test_coverage_and_novelty_on_an_example_computed_by_hand() -> None:
    assert coverage(LISTS, 10, 1) == 0.3
    assert coverage(LISTS, 10, 4) == 0.9
    # With one added action for each item: 4 of 8, and 2 of 8.
    counts = np.array([3, 1, 0, 0])
    assert novelty(np.array([[0], [1]], dtype=np.int32), counts, 1) == pytest.approx((1 + 2) / 2)
    assert novelty(np.array([[NOTHING]], dtype=np.int32), counts, 1) == 0


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=1, max_size=8), st.integers(1, 6))
def test_metrics_are_within_their_bounds(rows: list[list[int]], k: int) -> None:
    lists = np.array([row + [NOTHING] * (6 - len(row)) for row in rows], dtype=np.int32)
    relevant = targets(*({(n * 3) % 10: 1.0, (n * 3 + 1) % 10: 2.0} for n in range(len(rows))))
    values = at_k(gains(lists, relevant), relevant, k)
    for each in values.values():
        assert ((each >= 0) & (each <= 1 + 1e-12)).all()
    assert (values["mrr"] <= values["hr"]).all()
    assert (values["recall"] <= values["hr"]).all()
    ideal_lists = np.array([[(n * 3 + 1) % 10, (n * 3) % 10] for n in range(len(rows))], dtype=np.int32)
    assert at_k(gains(ideal_lists, relevant), relevant, 2)["ndcg"] == pytest.approx(1)


def test_an_interval_contains_the_mean_and_is_a_function_of_the_seed() -> None:
    values = np.random.default_rng(0).random((400, 2))
    clusters = np.arange(400) // 4
    means = resampled_means(values, clusters, seed=3)
    low, high = interval(means[:, 0])
    assert low < values[:, 0].mean() < high
    # The standard error of a mean of 400 uniform numbers is .0144.
    assert high - low == pytest.approx(2 * 1.96 * 0.0144, rel=0.2)
    assert (means == resampled_means(values, clusters, seed=3)).all()


def test_cases_of_one_shopper_are_resampled_together() -> None:
    values = np.repeat([[0.0], [1.0]] * 10, 20, axis=0)
    alone, together = (resampled_means(values, each, 0) for each in (np.arange(400), np.arange(400) // 20))
    assert np.ptp(interval(together[:, 0])) > 3 * np.ptp(interval(alone[:, 0]))


def test_columns_are_resampled_together() -> None:
    values = np.random.default_rng(1).random((50, 1))
    means = resampled_means(np.hstack([values, values + 0.1]), np.arange(50), 0)
    assert means[:, 1] - means[:, 0] == pytest.approx(0.1)
