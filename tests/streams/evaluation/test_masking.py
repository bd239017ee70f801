"""A shortlist without one of its sources."""

from __future__ import annotations

import numpy as np
import pytest

from inference.pipeline import Recommender
from inference.ranking.features import FEATURES
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.shortlist import Shortlist
from inference.retrieval.sources import LONG_TERM, NEW, QUERY, SHORT_TERM, TRENDING, make_sources
from inference.types import NO_KEYS, Query, Vector
from streams.evaluation.masking import alone, without
from tests.inference.catalogues import catalogue_of, queries_of, unit_vectors

NAMES = (SHORT_TERM, LONG_TERM, QUERY, NEW, TRENDING)


class Sum:
    """Scores by the sum of the features."""

    def score(self, features: Vector) -> Vector:
        return np.asarray(features.sum(axis=1), dtype=np.float32)


def recommender(*names: str) -> Recommender:
    catalogue = catalogue_of(unit_vectors(60))
    catalogue.set_popularity({int(key): 1 / n for n, key in enumerate(catalogue.columns.keys[:9], start=1)}, {})
    return Recommender(catalogue, Sum(), make_sources(names, Behaviour()), candidates_per_source=8)


def shortlists(*names: str) -> list[Shortlist]:
    return recommender(*names).retrieve(queries_of(12))


@pytest.mark.parametrize("name", NAMES)
def test_without_a_source_is_as_if_it_had_never_been(name: str) -> None:
    others = [each for each in NAMES if each != name]
    catalogue = recommender().catalogue
    for whole, expected in zip(shortlists(*NAMES), shortlists(*others), strict=True):
        left = without(whole, name, catalogue.columns.keys[whole.rows])
        assert left.rows.tolist() == expected.rows.tolist()
        assert left.fused == pytest.approx(expected.fused)
        column = NAMES.index(name)
        assert not left.proposed[:, column].any()
        assert not left.scores[:, column].any()
        assert np.delete(left.scores, column, axis=1).tolist() == expected.scores.tolist()
        assert np.delete(left.ranks, column, axis=1).tolist() == expected.ranks.tolist()
        assert {item.item_id for item in left.leading} <= {item.item_id for item in whole.leading}


def test_its_vector_makes_no_feature_any_more_and_a_search_stays_one() -> None:
    ours = recommender(*NAMES)
    (whole,) = ours.retrieve([queries_of(2)[1]])
    assert whole.query.text_vector is not None
    keys = ours.catalogue.columns.keys[whole.rows]
    features = ours.features([without(whole, QUERY, keys)])
    assert not features[:, FEATURES.index("query")].any()
    assert features[:, FEATURES.index("searching")].all()
    assert not ours.features([without(whole, SHORT_TERM, keys)])[:, FEATURES.index("short_term")].any()


def test_a_source_alone_is_in_the_order_of_its_scores() -> None:
    ours = recommender(*NAMES)
    (whole,) = ours.retrieve([queries_of(2)[1]])
    for name in NAMES:
        (expected,) = recommender(name).retrieve([whole.query])
        assert alone(whole, name, 5).tolist() == expected.rows[:5].tolist()


def test_nothing_is_left_of_nothing() -> None:
    (whole,) = recommender(TRENDING).retrieve([Query()])
    empty = without(whole, TRENDING, recommender().catalogue.columns.keys[whole.rows])
    assert len(empty.rows) == len(empty.leading) == len(empty.fused) == 0
    assert len(without(empty, TRENDING, NO_KEYS).rows) == 0
