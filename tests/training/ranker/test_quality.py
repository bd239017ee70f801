"""Metrics, on lists that are small enough to compute by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.ranker.quality import quality

LABELS = np.array([0, 1, 0, 1, 0, 0])
GROUPS = np.array([0, 0, 0, 0, 1, 1])


def test_by_hand() -> None:
    found = quality(np.array([4.0, 3, 2, 1, 0, 1]), LABELS, GROUPS, np.array([2, 1]))
    # Ranks 2 and 4 of a list that wanted two; nothing in one that wanted one.
    ndcg = (1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3))
    assert (found.lists, found.hit_rate, found.mrr) == (2, 0.5, 0.25)
    assert found.ndcg == pytest.approx(ndcg / 2)


def test_what_lies_beyond_k_is_not_seen() -> None:
    assert quality(np.array([4.0, 3, 2, 1, 0, 1]), LABELS, GROUPS, np.array([2, 1]), k=1).hit_rate == 0


def test_what_retrieval_missed_counts() -> None:
    whole, missed = (quality(np.array([2.0, 1]), np.array([1, 0]), np.zeros(2, int), np.array([n])) for n in (1, 2))
    assert whole.ndcg == 1 > missed.ndcg


def test_ties_keep_the_order_given() -> None:
    assert quality(np.zeros(6), LABELS, GROUPS, np.array([2, 1])).mrr == 0.25


def test_grades_are_gains() -> None:
    best, worst = (
        quality(np.array(s), np.array([3, 1]), np.zeros(2, int), np.array([2])).ndcg for s in ([1, 0], [0, 1])
    )
    assert best == 1 > worst


def test_no_lists() -> None:
    assert quality(np.empty(0), np.empty(0, int), np.empty(0, int), np.empty(0, int)).lists == 0


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.floats(-1, 1)), min_size=1, max_size=30))
def test_bounds_and_the_perfect_order(rows: list[tuple[int, int, float]]) -> None:
    labels, groups, scores = (np.array(column) for column in zip(*sorted(rows, key=lambda row: row[1]), strict=True))
    relevant = np.bincount(groups, labels, 4).astype(int)
    found, perfect = quality(scores, labels, groups, relevant), quality(labels, labels, groups, relevant)
    wanted = float(relevant.any())
    assert found.lists == (relevant > 0).sum()
    assert perfect.ndcg == pytest.approx(wanted)
    assert perfect.mrr == pytest.approx(wanted)
    assert 0 <= found.mrr <= found.hit_rate <= wanted
    assert found.ndcg <= perfect.ndcg + 1e-9


def test_lists_that_nothing_followed_are_passed_over() -> None:
    scores, relevant = np.array([4.0, 3, 2, 1, 0, 1]), np.array([2, 1])
    longer = quality(np.append(scores, 9), np.append(LABELS, 0), np.append(GROUPS, 2), np.append(relevant, 0))
    assert longer == quality(scores, LABELS, GROUPS, relevant)
