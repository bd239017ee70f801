"""Comparison of rankers and of periods on gathered lists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.learning.some_lists import ByFeature, gathered, some_lists
from training.learning.judging import compare, drift, list_weights, ndcg_of_lists
from training.learning.outcomes import RANKS
from training.learning.store import Lists, as_lists, joined

GOOD, OTHER = ByFeature("popularity"), ByFeature("query")
EQUAL = np.ones(RANKS)


def test_ndcg_is_of_each_list_and_undefined_without_an_action() -> None:
    lists = some_lists("popularity", 20)
    found = ndcg_of_lists(GOOD, lists.examples)
    acts = lists.examples.relevant > 0
    assert np.isnan(found[~acts]).all()
    assert (found[acts] == 1).all()


def test_a_better_ranker_has_a_lower_bound_above_zero() -> None:
    lists = some_lists("popularity", 300)
    found = compare(OTHER, GOOD, lists, np.ones(300), confidence=0.95, seed=0)
    assert found.lists == 300 - 43
    assert 0 < found.low < found.gain < found.high
    assert found.after == 1
    back = compare(GOOD, OTHER, lists, np.ones(300), confidence=0.95, seed=0)
    assert back.gain == pytest.approx(-found.gain)


def test_the_same_ranker_has_no_difference() -> None:
    found = compare(GOOD, GOOD, some_lists("query", 100), np.ones(100), confidence=0.95, seed=0)
    assert (found.low, found.gain, found.high) == (0, 0, 0)


def test_weights_count() -> None:
    lists = joined([some_lists("popularity", 70), some_lists("query", 70, seed=1)])
    first = np.repeat([1.0, 0.0], 70)
    assert compare(OTHER, GOOD, lists, first, confidence=0.95, seed=0).gain > 0
    assert compare(OTHER, GOOD, lists, 1 - first, confidence=0.95, seed=0).gain < 0


def test_lists_weigh_the_inverse_propensity_of_their_labels() -> None:
    theta = 1 / np.arange(1.0, RANKS + 1)
    weights = list_weights(some_lists("popularity", 14, rank=4), theta, 0.1)
    assert weights[0] == 1  # no action
    assert weights[1] == pytest.approx(4)
    assert list_weights(some_lists("popularity", 2, rank=19), theta, 0.1)[1] == pytest.approx(10)


def test_drift_is_a_difference_between_periods() -> None:
    before, after = some_lists("popularity", 300), some_lists("query", 300, seed=1)
    assert drift(GOOD, before, after, confidence=0.95, seed=0).high < 0
    same = drift(GOOD, before, some_lists("popularity", 300, seed=2), confidence=0.95, seed=0)
    assert (same.before, same.after) == (1, 1)
    assert drift(OTHER, before, after, confidence=0.95, seed=0).low > 0


def test_an_empty_period_is_no_drift() -> None:
    lists = some_lists("popularity", 50)
    assert drift(GOOD, lists, lists.between(0, 0), confidence=0.95, seed=0).lists == 0


def test_the_interval_is_over_shoppers() -> None:
    one = gathered("popularity", 200)
    by_shopper = as_lists(one)
    apart = Lists(by_shopper.examples, by_shopper.ranks, np.arange(200, dtype=np.uint64), by_shopper.times)
    together = replace(apart, shoppers=np.repeat(np.arange(4, dtype=np.uint64), 50))
    width = [
        found.high - found.low
        for found in (compare(OTHER, GOOD, each, np.ones(200), confidence=0.95, seed=0) for each in (apart, together))
    ]
    assert min(width) > 0
    assert width[0] != width[1]
