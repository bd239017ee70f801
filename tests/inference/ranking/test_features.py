"""Features against formulas written out one candidate at a time, and reasons against who proposed what."""

from __future__ import annotations

import numpy as np
import pytest

from inference.ranking.features import FEATURES, features
from inference.ranking.reasons import reasons
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import quantise
from inference.types import Query, Remembered, Vector, stable_key
from tests.inference.catalogues import catalogue_of, item, queries_of, unit_vectors


@pytest.fixture
def catalogue() -> Catalogue:
    catalogue = catalogue_of(unit_vectors(40))
    catalogue.set_popularity({stable_key(str(number)): 1 / (1 + number) for number in range(10)})
    return catalogue


def cosine(one: Vector | None, other: Vector) -> float:
    return 0.0 if one is None else float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def naive(query: Query, number: int, popularity: float, vector: Vector) -> dict[str, float]:
    """Return the features of item `number` of `catalogue_of`."""
    brand = f"b{number % 3}" if number % 4 else None
    searching = query.text_vector is not None
    known = {
        "short_term": cosine(query.short_term, vector),
        "long_term": cosine(query.long_term, vector),
        "category": query.categories.get(stable_key(f"c{number % 5}"), 0.0),
        "brand": query.brands.get(stable_key(brand), 0.0) if brand else 0.0,
        "popularity": popularity**0.5,
        "seen_before": float(any(memory.key == stable_key(str(number)) for memory in query.recent)),
    }
    browsed = {name: 0.0 if searching else value for name, value in known.items()}
    searched = {f"{name}_searching": value if searching else 0.0 for name, value in known.items()}
    return {**browsed, **searched, "query": cosine(query.text_vector, vector), "searching": float(searching)}


@pytest.mark.parametrize("position", range(12))
def test_features_are_what_their_names_say(catalogue: Catalogue, position: int) -> None:
    query, vectors = queries_of(12)[position], unit_vectors(40)
    rows = np.array([7, 3, 0, 39, 12, 1])
    matrix = features(query, catalogue, rows)
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(rows), len(FEATURES))
    for number, values in zip(rows.tolist(), matrix, strict=True):
        expected = naive(query, number, 1 / (1 + number) if number < 10 else 0.0, vectors[number])
        assert set(expected) == set(FEATURES)
        assert dict(zip(FEATURES, values.tolist(), strict=True)) == pytest.approx(expected, abs=0.02)


def test_features_of_no_candidates_are_no_rows(catalogue: Catalogue) -> None:
    assert features(queries_of(2)[1], catalogue, np.empty(0, dtype=np.intp)).shape == (0, len(FEATURES))


def test_features_of_nobody_are_popularity_alone(catalogue: Catalogue) -> None:
    matrix = features(Query(), catalogue, np.arange(40))
    assert matrix[:, FEATURES.index("popularity")].sum() > 2
    assert np.delete(matrix, FEATURES.index("popularity"), axis=1).sum() == 0


def because(query: Query, *origins: str, number: int = 0) -> str:
    """Return the reason for item `number` when `origins` proposed it."""
    (reason,) = reasons(query, catalogue_of(unit_vectors(40)), np.array([number]), [origins])
    return reason


BOUGHT_5 = (Remembered(stable_key("5"), "bought"), Remembered(stable_key("gone"), "viewed"))


def test_a_search_is_the_first_reason() -> None:
    query = Query(text="red boots", recent=BOUGHT_5)
    assert because(query, "short_term", "query", "trending") == "matches your search “red boots”"


@pytest.mark.parametrize("source", ["short_term", "long_term"])
def test_an_intent_is_explained_by_a_remembered_item_that_is_still_sold(source: str) -> None:
    assert because(Query(recent=BOUGHT_5), source, "trending") == "because you bought The 5"
    assert because(Query(recent=BOUGHT_5[1:]), source) == "fits what you looked for"
    assert because(Query(), source, "trending") == "popular right now"


def test_the_remembered_item_that_is_nearest_is_named() -> None:
    vectors = unit_vectors(40)
    catalogue = catalogue_of(vectors)
    catalogue.upsert(item("twin"), quantise(vectors[9]))
    recent = tuple(Remembered(stable_key(str(number)), "viewed") for number in (3, 9, 5))
    row = catalogue.row(stable_key("twin"))
    assert row is not None
    assert reasons(Query(recent=recent), catalogue, np.array([row]), [("short_term",)]) == ["because you viewed The 9"]


def test_what_only_trends_is_popular() -> None:
    assert because(Query(recent=BOUGHT_5), "trending") == "popular right now"
