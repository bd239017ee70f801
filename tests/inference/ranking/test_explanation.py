"""Explanations: the contributions of features add up to the logit of the score, for any ranker."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.pipeline import Recommender
from inference.placements import Placement, RankingOptions
from inference.queries import QueryBatch
from inference.ranking.explanation import contributions
from inference.ranking.features import FEATURES
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import NAMES
from inference.retrieval.vectors import quantise
from inference.types import Item, Query, Vector

WIDTH = 5


Floats = npt.NDArray[np.floating]


def sigmoid(logits: Floats) -> Vector:
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), dtype=np.float32)


def logit(probabilities: Vector) -> Floats:
    exact = probabilities.astype(np.float64)
    return np.asarray(np.log(exact / (1 - exact)))


def network(seed: int, units: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=WIDTH), rng.normal(size=(WIDTH, units)), rng.normal(size=units)


@given(seed=st.integers(0, 1000), units=st.integers(0, 8), rows=st.integers(0, 4))
def test_contributions_add_up_to_the_logit_of_any_ranker(seed: int, units: int, rows: int) -> None:
    direct, hidden, output = network(seed, units)

    def score(features: Vector) -> Vector:
        return sigmoid(0.3 + features @ direct + np.maximum(features @ hidden, 0) @ output)

    features = np.random.default_rng(seed).uniform(-1, 1, (rows, WIDTH)).astype(np.float32)
    base, added = contributions(features, score)
    assert added.shape == (rows, WIDTH)
    assert base + added.sum(axis=1) == pytest.approx(logit(score(features)), abs=1e-4)


def test_a_linear_ranker_is_explained_exactly() -> None:
    direct = np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    features = np.array([[0.5, 0.25, 0.0, 1.0, -0.5]], dtype=np.float32)
    base, added = contributions(features, lambda rows: sigmoid(rows @ direct - 1))
    assert base == pytest.approx(-1, abs=1e-5)
    assert added[0] == pytest.approx(direct * features[0], abs=1e-4)


def test_two_features_that_act_together_share_what_they_add() -> None:
    features = np.array([[1.0, 0.0, 1.0, 0.0, 0.0]], dtype=np.float32)
    _, added = contributions(features, lambda rows: sigmoid(rows[:, 0] * rows[:, 2]))
    assert added[0] == pytest.approx([0.5, 0, 0.5, 0, 0], abs=1e-5)


class Ranker:
    def __init__(self) -> None:
        self.direct = np.random.default_rng(1).normal(size=len(FEATURES))

    def score(self, features: Vector) -> Vector:
        return sigmoid(features @ self.direct - 2)


@pytest.mark.parametrize("weights", [{}, {"trending": 0.5, "short_term": 0.25}])
def test_a_list_is_explained_in_its_order(weights: dict[str, float]) -> None:
    behaviour = Behaviour()
    catalogue = Catalogue(4, numbers=behaviour.numbers)
    rng = np.random.default_rng(0)
    for number in range(30):
        catalogue.upsert(Item(item_id=str(number), title="x"), quantise(rng.normal(size=4).astype(np.float32)))
    catalogue.set_popularity({catalogue.columns.keys[row]: 1 / (row + 1) for row in range(10)})
    recommender = Recommender(
        catalogue, Ranker(), make_sources(NAMES, behaviour), options=RankingOptions(places_for_new=1)
    )
    queries = [Query(k=5), Query(k=10, short_term=np.array([1, 0, 0, 0], dtype=np.float32))]
    shortlists = recommender.retrieve(QueryBatch.of(queries, 4), placement=Placement(weights=weights))
    lists = recommender.rank(shortlists)
    for number, size in enumerate((5, 10)):
        explained, ranked = recommender.explain(shortlists, lists, number), lists.ranked(number)
        assert len(explained) == size
        for each, item in zip(explained, ranked.items, strict=True):
            assert tuple(source.name for source in each.sources) == item.sources
            assert each.base is not None
            total = each.base + sum(feature.contribution for feature in each.features)
            assert each.weight / (1 + np.exp(-total)) == pytest.approx(item.score, abs=2e-6)
            assert each.weight == max([1.0 if not weights else -1, *(weights.get(name, 1.0) for name in item.sources)])
            sizes = [abs(feature.contribution) for feature in each.features]
            assert sizes == sorted(sizes, reverse=True)
            assert all(feature.value != 0 for feature in each.features)
