"""Shortlists without a source, and of a single source."""

from __future__ import annotations

import numpy as np
import pytest

from inference.pipeline import Recommender
from inference.placements import RankingOptions
from inference.queries import QueryBatch
from inference.ranking.features import FEATURES
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.shortlists import Shortlists
from inference.retrieval.sources import LONG_TERM, NEW, QUERY, SHORT_TERM, TRENDING
from inference.types import Keys, Query, Vector
from tests.inference.catalogues import DIM, NUMBERS, catalogue_of, queries_of, unit_vectors
from training.evaluation.ablation import without
from training.evaluation.kernels import write_alone, write_lists

NAMES = (SHORT_TERM, LONG_TERM, QUERY, NEW, TRENDING)


class SumOfFeatures:
    """Scores by the sum of features."""

    def score(self, features: Vector) -> Vector:
        return np.asarray(features.sum(axis=1), dtype=np.float32)


def recommender(*names: str) -> Recommender:
    catalogue = catalogue_of(unit_vectors(60))
    catalogue.set_popularity({int(key): 1 / n for n, key in enumerate(catalogue.columns.keys[:9], start=1)}, {})
    sources = make_sources(names, Behaviour(numbers=NUMBERS))
    return Recommender(catalogue, SumOfFeatures(), sources, options=RankingOptions(candidates_per_source=8))


def batch() -> QueryBatch:
    return QueryBatch.of(queries_of(12), DIM)


def shortlists(*names: str) -> Shortlists:
    return recommender(*names).retrieve(batch())


def keys() -> Keys:
    return recommender().catalogue.columns.keys


@pytest.mark.parametrize("name", NAMES)
def test_a_removed_source_leaves_the_shortlist_of_the_others(name: str) -> None:
    whole, expected = shortlists(*NAMES), shortlists(*(each for each in NAMES if each != name)).candidates
    left = without(whole, name, keys()).candidates
    assert left.starts.tolist() == expected.starts.tolist()
    assert left.rows.tolist() == expected.rows.tolist()
    assert left.fused == pytest.approx(expected.fused)
    column = NAMES.index(name)
    assert not left.ranks[:, column].any()
    assert not left.scores[:, column].any()
    assert np.delete(left.scores, column, axis=1).tolist() == expected.scores.tolist()
    assert np.delete(left.ranks, column, axis=1).tolist() == expected.ranks.tolist()


def test_a_removed_source_has_no_feature_and_a_search_is_still_a_search() -> None:
    own = recommender(*NAMES)
    whole = own.retrieve(QueryBatch.of([queries_of(2)[1]], DIM))
    assert whole.queries.inverse_norms.all()
    features = own.features(without(whole, QUERY, keys()))
    assert not features[:, FEATURES.index("query")].any()
    assert features[:, FEATURES.index("searching")].all()
    assert not own.features(without(whole, SHORT_TERM, keys()))[:, FEATURES.index("short_term")].any()
    assert own.features(whole)[:, FEATURES.index("query")].any()


@pytest.mark.kernel
def test_a_single_source_gives_its_items_in_order_of_score() -> None:
    whole, k = shortlists(*NAMES), 5
    number_of = np.arange(1000, 1000 + len(keys()), dtype=np.int32)
    cases = np.arange(len(whole))[::-1] * 2
    out = np.full((len(NAMES), 2 * len(whole), k), -1, dtype=np.int32)
    write_alone(whole.candidates, number_of, cases, np.empty(k, dtype=np.float32), out)
    for source, name in enumerate(NAMES):
        expected = shortlists(name).candidates
        for number, case in enumerate(cases.tolist()):
            rows = expected.rows[expected.starts[number] : expected.starts[number + 1]][:k]
            assert out[source, case].tolist() == [*(rows + 1000).tolist(), *[-1] * (k - len(rows))]
    assert (out[:, 1::2] == -1).all()


@pytest.mark.kernel
def test_the_first_items_of_lists_are_written_to_their_cases() -> None:
    starts, rows = np.array([0, 1, 1, 4]), np.array([3, 0, 2, 1], dtype=np.int32)
    out = np.full((4, 2), -1, dtype=np.int32)
    write_lists(starts, rows, np.array([10, 11, 12, 13], dtype=np.int32), np.array([2, 0, 3]), out)
    assert out.tolist() == [[-1, -1], [-1, -1], [13, -1], [10, 12]]


def test_removing_the_only_source_leaves_an_empty_shortlist() -> None:
    whole = recommender(TRENDING).retrieve(QueryBatch.of([Query()], DIM))
    empty = without(whole, TRENDING, keys())
    assert len(empty.candidates.rows) == len(empty.candidates.fused) == 0
    assert len(without(empty, TRENDING, keys()).candidates.rows) == 0


def test_selected_lists_are_ranked_alike() -> None:
    own = recommender(*NAMES)
    whole = own.retrieve(batch())
    ranked, some = own.rank(whole), own.rank(whole.take([7, 2, 3]))
    assert [some.ranked(place) for place in range(3)] == [ranked.ranked(number) for number in (7, 2, 3)]
    assert len(own.rank(whole.take([]))) == 0


@pytest.mark.parametrize("most", [0, 3, 12, None])
def test_shortlists_are_cut_as_the_recommender_does(most: int | None) -> None:
    catalogue = recommender().catalogue
    cut = Recommender(
        catalogue,
        SumOfFeatures(),
        make_sources(NAMES, Behaviour(numbers=NUMBERS)),
        options=RankingOptions(candidates_per_source=8, candidates_ranked=most),
    )
    expected = cut.retrieve(batch()).candidates
    found = cut.to_be_ranked(cut.retrieve(batch(), every=True)).candidates
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
