"""Graded queries: folds, NDCG and BM25."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.distillation.graded import BM25, fold_of, ndcg, split


def test_equivalent_queries_are_in_the_same_fold() -> None:
    queries = ["head set", "headset", "headsets", "mouse", "camera bag", "tv", "fan", "radio", "books"]
    assert len({fold_of(query, 5) for query in queries[:3]}) == 1
    assert sorted(at for fold in split(queries, 5) for at in fold) == list(range(len(queries)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=30))
def test_ndcg_is_1_for_the_ideal_order_and_ties_do_not_raise_it(rows: list[tuple[int, int]]) -> None:
    grades, scores = np.array([g for g, _ in rows]), np.array([float(s) for _, s in rows])
    best = 1.0 if grades.any() else 0.0
    assert ndcg(grades.astype(float), grades) == pytest.approx(best)
    assert 0 <= ndcg(scores, grades) <= best + 1e-9
    broken = scores + np.linspace(0, 0.5, len(scores)) * (grades - grades.min() + 1) * 0.01
    assert ndcg(scores, grades) <= ndcg(broken, grades) + 1e-9


def test_bm25_prefers_rare_words_and_short_titles() -> None:
    words = BM25(["usb cable", "usb hub", "usb hub with a very long description of what it does", "lamp"])
    scores = words.scores("USB hub", ["usb cable", "usb hub", "usb hub with a very long description", "lamp"])
    assert scores[1] > scores[2] > scores[0] > scores[3] == 0
