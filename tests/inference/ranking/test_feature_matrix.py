"""Features, compared with the formulas for one candidate at a time and for whole arrays."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, log1p, tanh

import msgspec
import numpy as np
import pytest

from inference.ranking.feature_matrix import features
from inference.ranking.features import CONTEXT, FEATURES, LAST_ITEMS, LONG_SESSION, OFTEN, PLACED, SCORED
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Candidates, Shortlists
from inference.retrieval.sources import NAMES
from inference.retrieval.vectors import inverse_norms, quantise
from inference.types import Habits, Keys, PriceHabit, Query, Remembered, Vector, stable_key
from tests.inference.catalogues import catalogue_of, item, queries_of, unit_vectors
from tests.inference.ranking.shortlists import shortlists_of

pytestmark = pytest.mark.kernel

ITEMS = 40


def key(number: int) -> int:
    return stable_key(str(number))


@pytest.fixture
def catalogue() -> Catalogue:
    catalogue = catalogue_of(unit_vectors(ITEMS))
    for number in range(0, ITEMS, 3):
        described = item(str(number), category=f"c{number % 5}", brand=f"b{number % 3}" if number % 4 else None)
        priced = msgspec.structs.replace(described, price=2.0 * number)
        catalogue.upsert(priced, quantise(unit_vectors(ITEMS)[number]))
    catalogue.set_popularity({key(n): 1 / (1 + n) for n in range(10)}, {key(n): 1 / (2 + n) for n in range(20)})
    catalogue.mark_seen([key(n) for n in range(25)])
    return catalogue


def shortlist(query: Query, rows: list[int], seed: int = 0) -> Shortlists:
    """A shortlist in which every source gave every candidate a score and a place of its own."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, (len(rows), len(NAMES))).astype(np.float32)
    ranks = (1 / rng.integers(1, 30, (len(rows), len(NAMES)))).astype(np.float32)
    return shortlists_of([query], [rows], scores, ranks)


def joined(parts: list[Shortlists], queries: list[Query]) -> Shortlists:
    scores, ranks = (np.concatenate([getattr(each.candidates, name) for each in parts]) for name in ("scores", "ranks"))
    return shortlists_of(queries, [each.candidates.rows.tolist() for each in parts], scores, ranks)


def regular(position: int) -> Query:
    """Shoppers with everything there is to know, or with some of it."""
    query = queries_of(12)[position]
    habits = Habits(
        np.array([key(7), key(3)], dtype=np.uint64),
        *(np.array(values, dtype=np.float32) for values in ([6.0, 0.5], [3.0, 10.0], [7.0, 0.0])),
    )
    session = np.array([key(n) for n in (5, 9, 13, 21)][: position % 5], dtype=np.uint64)
    price = PriceHabit(2.0, 0.7) if position % 2 else PriceHabit(1.0, 0.01)
    return replace(query, session=session, habits=habits, price=price) if position % 4 else query


def cosine(one: Vector | None, other: Vector) -> float:
    return 0.0 if one is None else float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def naive(query: Query, number: int) -> dict[str, float]:
    """Return what is known of item `number`, but for the sources."""
    vectors = unit_vectors(ITEMS)
    vector = vectors[number]
    last = [int(n) for k in query.session[:3].tolist() for n in range(ITEMS) if key(n) == k]
    near = [cosine(vectors[n], vector) for n in last]
    brands = [f"b{n % 3}" if n % 4 else None for n in range(ITEMS)]
    price = log1p(2.0 * number) if number % 3 == 0 else None
    z = None if price is None or query.price is None else (price - query.price.mean) / max(query.price.deviation, 0.25)
    bought = dict(zip(query.habits.keys.tolist(), query.habits.weights.tolist(), strict=True)).get(key(number), 0.0)
    return {
        "short_term": cosine(query.short_term, vector),
        "long_term": cosine(query.long_term, vector),
        "query": cosine(query.text_vector, vector),
        "last_item": near[0] if near else 0.0,
        "last_items": max(near, default=0.0),
        "popularity": (1 / (1 + number)) ** 0.5 if number < 10 else 0.0,
        "lasting": (1 / (2 + number)) ** 0.5 if number < 20 else 0.0,
        "new": float(number >= 25),
        "category": query.categories.get(stable_key(f"c{number % 5}"), 0.0),
        "brand": query.brands.get(stable_key(brands[number] or ""), 0.0),
        "same_category": float(bool(last) and last[0] % 5 == number % 5),
        "same_brand": float(bool(last) and brands[number] is not None and brands[last[0]] == brands[number]),
        "seen_before": float(key(number) in {memory.key for memory in query.recent}),
        "bought": min(log(1 + bought) / log(21), 1.0),
        "price": 0.0 if z is None else exp(-z * z / 2),
        "dearer": 0.0 if z is None else tanh(z),
        "searching": float(query.text is not None),
        "session_length": min(log(1 + len(query.session)) / log(25), 1.0),
        "habits": float(len(query.habits.keys) > 0),
        "intent": float(query.long_term is not None),
    }


@pytest.mark.parametrize("position", range(12))
def test_features_have_the_values_of_their_definitions(catalogue: Catalogue, position: int) -> None:
    query, rows = regular(position), [7, 3, 0, 39, 12, 1]
    given = shortlist(query, rows)
    matrix = features(given, catalogue)
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(rows), len(FEATURES))
    found = given.candidates
    for place, (number, values) in enumerate(zip(rows, matrix, strict=True)):
        scored = {name: found.scores[place, NAMES.index(source)] ** 0.5 for name, source in SCORED.items()}
        placed = {name: found.ranks[place, NAMES.index(source)] for name, source in PLACED.items()}
        expected = {**naive(query, number), **scored, **placed}
        assert set(expected) == set(FEATURES)
        assert dict(zip(FEATURES, values.tolist(), strict=True)) == pytest.approx(expected, abs=0.02)


def over_arrays(query: Query, candidates: Candidates, catalogue: Catalogue) -> Vector:
    """Return the features of one query's candidates, column by column, by NumPy."""
    columns, rows = catalogue.columns, candidates.rows
    last = [row for key in query.session[:LAST_ITEMS].tolist() if (row := catalogue.row(key)) is not None]
    vectors = np.zeros((3 + LAST_ITEMS, catalogue.dim), dtype=np.float32)
    for place, intent in enumerate((query.short_term, query.long_term, query.text_vector)):
        vectors[place] = 0 if intent is None else quantise(intent)
    if last:
        vectors[3:] = columns.vectors[(last + LAST_ITEMS * last[:1])[:LAST_ITEMS]]
    products = columns.vectors[rows].astype(np.float32) @ vectors.T
    cosines = products * inverse_norms(vectors) * columns.inverse_norms[rows][:, None]
    usual = np.array(query.price or (np.nan, 1.0), dtype=np.float32)
    z = (columns.prices[rows] - usual[0]) / np.maximum(usual[1], np.float32(0.25))
    known = np.isfinite(z)
    newest = last[0] if last else None
    keys, categories, brands = columns.keys[rows], columns.categories[rows], columns.brands[rows]

    def same(labels: Keys, of: Keys) -> Vector:
        own = np.uint64(0) if newest is None else of[newest]
        return np.asarray((labels == own) & (own != 0), dtype=np.float32)

    def share(shares: dict[int, float], labels: Keys) -> list[float]:
        return [shares.get(label, 0.0) for label in labels.tolist()]

    times = np.array(share(dict(zip(query.habits.keys.tolist(), query.habits.weights, strict=True)), keys), np.float32)
    by_name = {
        **dict(zip(("short_term", "long_term", "query", "last_item"), cosines.T, strict=False)),
        "last_items": cosines[:, 3:].max(axis=1),
        **{name: np.sqrt(candidates.scores[:, NAMES.index(source)]) for name, source in SCORED.items()},
        **{name: candidates.ranks[:, NAMES.index(source)] for name, source in PLACED.items()},
        "popularity": np.sqrt(columns.popularity[rows]),
        "lasting": np.sqrt(columns.lasting[rows]),
        "new": ~columns.seen[rows],
        "category": share(dict(query.categories), categories),
        "brand": share(dict(query.brands), brands),
        "same_category": same(categories, columns.categories),
        "same_brand": same(brands, columns.brands),
        "seen_before": np.isin(keys, np.array([memory.key for memory in query.recent], dtype=np.uint64)),
        "bought": np.minimum(np.log1p(times) / np.log1p(OFTEN), 1.0),
        "price": np.where(known, np.exp(-np.square(z) / 2), 0.0),
        "dearer": np.where(known, np.tanh(z), 0.0),
        "searching": query.text is not None,
        "session_length": np.minimum(np.log1p(len(query.session)) / np.log1p(LONG_SESSION), 1.0),
        "habits": len(query.habits.keys) > 0,
        "intent": query.long_term is not None,
    }
    return np.array([np.broadcast_to(by_name[name], len(rows)) for name in FEATURES], dtype=np.float32).T


EXACT = [name for name in FEATURES if name not in ("bought", "price", "dearer", "session_length")]
"""All but those that an exponential or a logarithm is in: there libraries differ in the last bits."""


@pytest.mark.parametrize("position", range(12))
def test_the_kernel_agrees_with_numpy(catalogue: Catalogue, position: int) -> None:
    given = shortlist(regular(position), [*range(ITEMS)], seed=position)
    matrix, expected = features(given, catalogue), over_arrays(regular(position), given.candidates, catalogue)
    np.testing.assert_allclose(matrix, expected, atol=2e-7)
    exact = [FEATURES.index(name) for name in EXACT]
    np.testing.assert_array_equal(matrix[:, exact], expected[:, exact])


def test_features_of_a_batch_equal_those_of_single_lists(catalogue: Catalogue) -> None:
    queries = [regular(n) for n in range(12)]
    lists = [shortlist(query, [*range(n, ITEMS, 1 + n % 3)][: n * n % 31], seed=n) for n, query in enumerate(queries)]
    each = [features(one, catalogue) for one in lists]
    assert features(joined(lists, queries), catalogue).tolist() == np.concatenate(each).tolist()


def test_features_without_candidates_are_empty(catalogue: Catalogue) -> None:
    assert features(shortlist(queries_of(2)[1], []), catalogue).shape == (0, len(FEATURES))


def test_features_without_a_shopper_are_those_of_all_shoppers(catalogue: Catalogue) -> None:
    nothing = np.empty((ITEMS, 0), np.float32)
    anonymous = shortlists_of([Query()], [list(range(ITEMS))], nothing, nothing, ())
    known = {name for name, column in zip(FEATURES, features(anonymous, catalogue).T, strict=True) if column.any()}
    assert known == {"popularity", "lasting", "new"}


def test_padding_does_not_count(catalogue: Catalogue) -> None:
    """Values after the end of a record's lists, such as an older profile's items, must not count."""
    given = shortlist(Query(), list(range(ITEMS)))
    clean = features(given, catalogue)
    record = given.queries.records[0]
    for name in ("session", "recent", "habits"):
        record[name][:] = [key(n) for n in range(len(record[name]))]
    record["categories"], record["brands"] = stable_key("c1"), stable_key("b1")
    record["category_shares"] = record["brand_shares"] = 0.5
    np.testing.assert_array_equal(features(given, catalogue), clean)


@pytest.mark.parametrize("position", range(12))
def test_features_are_in_range_and_context_is_constant_in_a_list(catalogue: Catalogue, position: int) -> None:
    matrix = features(shortlist(regular(position), list(range(ITEMS))), catalogue)
    assert np.isfinite(matrix).all()
    assert np.abs(matrix).max() <= 1.001
    for name in CONTEXT:
        assert len(set(matrix[:, FEATURES.index(name)].tolist())) == 1


def test_items_acted_on_before_are_marked(catalogue: Catalogue) -> None:
    query = Query(recent=(Remembered(key(3), "viewed"),))
    matrix = features(shortlist(query, [2, 3]), catalogue)
    assert matrix[:, FEATURES.index("seen_before")].tolist() == [0, 1]
