"""Quality on examples computed by hand, and the tables of the comparison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.ranking.features import FEATURES
from inference.types import Vector
from tests.training.ranker.lists import labelled
from training.ranker.examples import join
from training.ranker.quality import SAMPLED, calibration, compare, quality

LABELS = np.array([0, 1, 0, 1, 0, 0])
GROUPS = np.array([0, 0, 0, 0, 1, 1])


def test_quality_on_an_example_computed_by_hand() -> None:
    found = quality(np.array([4.0, 3, 2, 1, 0, 1]), LABELS, GROUPS, np.array([2, 1]))
    # Ranks 2 and 4 of a list with two relevant items, and none of a list with one.
    ndcg = (1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3))
    assert (found.lists, found.hit_rate, found.mrr) == (2, 0.5, 0.25)
    assert found.ndcg == pytest.approx(ndcg / 2)


def test_candidates_beyond_k_do_not_count() -> None:
    assert quality(np.array([4.0, 3, 2, 1, 0, 1]), LABELS, GROUPS, np.array([2, 1]), k=1).hit_rate == 0


def test_items_missed_by_retrieval_lower_the_quality() -> None:
    whole, missed = (quality(np.array([2.0, 1]), np.array([1, 0]), np.zeros(2, int), np.array([n])) for n in (1, 2))
    assert whole.ndcg == 1 > missed.ndcg


def test_ties_keep_their_order() -> None:
    assert quality(np.zeros(6), LABELS, GROUPS, np.array([2, 1])).mrr == 0.25


def test_grades_are_used_as_gains() -> None:
    best, worst = (
        quality(np.array(s), np.array([3, 1]), np.zeros(2, int), np.array([2])).ndcg for s in ([1, 0], [0, 1])
    )
    assert best == 1 > worst


def test_the_quality_of_no_lists_is_empty() -> None:
    assert quality(np.empty(0), np.empty(0, int), np.empty(0, int), np.empty(0, int)).lists == 0


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.floats(-1, 1)), min_size=1, max_size=30))
def test_quality_is_bounded_and_1_for_the_perfect_order(rows: list[tuple[int, int, float]]) -> None:
    labels, groups, scores = (np.array(column) for column in zip(*sorted(rows, key=lambda row: row[1]), strict=True))
    relevant = np.bincount(groups, labels, 4).astype(int)
    found, perfect = quality(scores, labels, groups, relevant), quality(labels, labels, groups, relevant)
    best = float(relevant.any())
    assert found.lists == (relevant > 0).sum()
    assert perfect.ndcg == pytest.approx(best)
    assert perfect.mrr == pytest.approx(best)
    assert 0 <= found.mrr <= found.hit_rate <= best
    assert found.ndcg <= perfect.ndcg + 1e-9


def test_lists_without_relevant_items_are_skipped() -> None:
    scores, relevant = np.array([4.0, 3, 2, 1, 0, 1]), np.array([2, 1])
    longer = quality(np.append(scores, 9), np.append(LABELS, 0), np.append(GROUPS, 2), np.append(relevant, 0))
    assert longer == quality(scores, LABELS, GROUPS, relevant)


class FeatureAsProbability:
    """A ranker whose probability is the feature `new`."""

    def score(self, features: Vector) -> Vector:
        return features[:, FEATURES.index("new")]


def test_the_comparison_separates_situations_and_favours_the_fitted_ranker() -> None:
    pytest.importorskip("scipy", reason="needs the extra `train`")
    from training.ranker.fit import fit

    examples = labelled(FEATURES, lists=90)
    features = examples.features.copy()
    features[examples.groups % 3 == 1, FEATURES.index("session_length")] = 0
    examples = replace(examples, features=features)
    table = compare(examples, {"this ranker": fit(examples)})
    assert table.note == "Held out: 30 lists browsing, 30 lists searching, 30 lists arriving. " + SAMPLED
    for kind in ("browsing", "searching", "arriving"):
        ndcg = {order: float(value) for of, order, *_, value in table.rows if of == kind}
        assert ndcg["this ranker"] == max(ndcg.values())
    assert {row[1] for row in table.rows if table.is_marked(row)} == {"this ranker"}


def test_the_calibration_table_compares_probabilities_with_outcomes() -> None:
    examples = labelled(FEATURES, lists=90)
    ended = examples.groups % 2 == 0
    examples.features[:, FEATURES.index("new")] = np.where(ended, 0.05, 0.2)
    # One of 45 candidates was acted on: eleven negatives have weight 4. Half of the lists have no action.
    weights = np.where(examples.labels > 0, 1.0, 4.0)
    examples = replace(
        examples, labels=np.where(ended, 0, examples.labels), weights=weights, relevant=np.arange(90) % 2
    )
    graded = replace(labelled(FEATURES, lists=30, seed=5), graded=np.ones(30, dtype=np.bool_))
    assert calibration(join([examples, graded]), FeatureAsProbability()).rows == [
        ("browsing", "12.50%", "1.11%", "50.00%", "20.00%", "2.22%"),
        ("searching", "12.50%", "1.11%", "50.00%", "20.00%", "2.22%"),
    ]


def test_the_calibration_table_marks_missing_values() -> None:
    examples = labelled(FEATURES, lists=9)
    examples.features[:, FEATURES.index("new")] = 0
    assert calibration(examples, FeatureAsProbability()).rows[0] == ("browsing", "0.00%", "8.33%", "0.00%", "-", "-")


def test_graded_lists_alone_have_no_calibration_table() -> None:
    graded = replace(labelled(FEATURES, lists=9), graded=np.ones(9, dtype=np.bool_))
    found = calibration(graded, FeatureAsProbability())
    assert found.markdown() == "Probabilities: shoppers acted on nothing in these lists."
