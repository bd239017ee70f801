"""Maximal marginal relevance, compared with the formula, position by position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.ranking.choice import Rules, choose
from inference.ranking.diversity import CONSIDERED
from inference.retrieval.catalogue import Catalogue
from inference.types import Query, Vector
from tests.inference.catalogues import catalogue_of, clustered
from tests.inference.ranking.shortlists import shortlists_of

pytestmark = pytest.mark.kernel


def diversified(catalogue: Catalogue, scores: Vector, k: int, diversity: float) -> list[int]:
    """Return the chosen ones of candidates whose rows are 0, 1, …"""
    given = shortlists_of([Query(k=k)], [range(len(scores))])
    rules = Rules(diversity, 0, -1)
    chosen = choose(given.queries.records, given.candidates, catalogue.columns, scores, rules)
    return list(chosen.positions.tolist())


def worths(scores: list[float], vectors: np.ndarray, chosen: list[int], k: int, diversity: float) -> dict[int, float]:
    """Return what each candidate that is left would be worth in the next place."""
    return {
        n: (1 - diversity) * scores[n] / scores[0] - diversity * max(float(vectors[n] @ vectors[c]) for c in chosen)
        for n in range(min(len(scores), CONSIDERED * k))
        if n not in chosen
    }


@given(st.integers(1, 40), st.integers(1, 12), st.sampled_from([0.1, 0.3, 0.7, 1.0]), st.integers(0, 99))
def test_each_rank_is_the_item_with_the_greatest_value(number: int, k: int, diversity: float, seed: int) -> None:
    vectors = clustered(number, 16, clusters=4, seed=seed)
    catalogue = catalogue_of(vectors)
    scores = np.sort(np.random.default_rng(seed).uniform(0.1, 1, number).astype(np.float32))[::-1].copy()
    exact = catalogue.columns.vectors[:number].astype(np.float32) * catalogue.columns.inverse_norms[:number, None]
    found = diversified(catalogue, scores, k, diversity)
    assert len(found) == len(set(found)) == min(k, number)
    assert found[0] == 0
    for place in range(1, len(found)):
        worth = worths(scores.tolist(), exact, found[:place], k, diversity)
        # What is worth the same but for the last bits may come in either order.
        assert worth[found[place]] >= max(worth.values()) - 1e-5


@pytest.mark.parametrize("number", [0, 1, 30])
def test_without_diversity_the_order_is_unchanged(number: int) -> None:
    catalogue = catalogue_of(clustered(max(number, 1), 16))
    scores = np.linspace(1, 0.1, number, dtype=np.float32)
    assert diversified(catalogue, scores, 10, 0.0) == list(range(min(10, number)))


def test_equal_items_are_not_adjacent() -> None:
    vectors = clustered(3, 16, clusters=3)
    twins = np.vstack([vectors[0], vectors[0], vectors[1]])
    scores = np.array([0.9, 0.89, 0.5], dtype=np.float32)
    assert diversified(catalogue_of(twins), scores, 3, 0.5) == [0, 2, 1]
