"""The batched search, compared with a full sort for each query."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.nearest import BLOCK, FOREMOST, LISTS
from inference.queries import LONG_TERM, SEARCH, SHORT_TERM, QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Hits, no_hits
from inference.retrieval.vectors import inverse_norms, quantise
from inference.types import Query, Vector, stable_key
from tests.inference.catalogues import item, unit_vectors

pytestmark = pytest.mark.kernel

DIM = 12
REQUESTS = [(SHORT_TERM, 0), (FOREMOST, 2), (LONG_TERM, 1), (SEARCH, 3)]


def catalogue_of(vectors: Vector, seed: int) -> Catalogue:
    """Return a catalogue of which a fifth is sold out and a third was seen."""
    random = np.random.default_rng(seed)
    catalogue = Catalogue(vectors.shape[1], index_words=False)
    for number, vector in enumerate(quantise(vectors)):
        catalogue.upsert(item(str(number), in_stock=bool(random.random() < 0.8)), vector)
    catalogue.mark_seen([stable_key(str(number)) for number in range(len(vectors)) if random.random() < 0.33])
    return catalogue


def queries_of(number: int, seed: int) -> list[Query]:
    """Return queries each of which has some of the three vectors, or none."""
    random, vectors = np.random.default_rng(seed), unit_vectors(3 * number, DIM, seed).reshape(number, 3, DIM)
    present = random.random((number, 3)) < 0.6
    return [
        Query(
            short_term=trio[0] if has[0] else None,
            long_term=trio[1] if has[1] else None,
            text_vector=trio[2] if has[2] else None,
            text="text" if has[2] else None,
        )
        for trio, has in zip(vectors, present, strict=True)
    ]


def expected(catalogue: Catalogue, vector: Vector | None, limit: int, *, unseen: bool) -> tuple[list[int], list[float]]:
    """Compare every item, by NumPy."""
    if vector is None:
        return [], []
    columns, integers = catalogue.columns, quantise(vector).astype(np.float32)
    scores = columns.vectors.astype(np.float32) @ integers * inverse_norms(integers) * columns.inverse_norms
    order = np.lexsort((columns.keys, -scores))
    order = order[columns.available[order] & ~(unseen & columns.seen[order])][:limit]
    return order.tolist(), scores[order].tolist()


def found(hits: Hits, query: int, place: int) -> tuple[list[int], list[float]]:
    rows, scores = hits.found(query, place)
    return rows.tolist(), scores.tolist()


def check(catalogue: Catalogue, queries: list[Query], limit: int) -> None:
    hits = no_hits(len(queries), 4, limit)
    catalogue.search_batch(QueryBatch.of(queries, DIM), REQUESTS, hits)
    for number, query in enumerate(queries):
        present = (query.text_vector, query.short_term, query.long_term)
        foremost = next((vector for vector in present if vector is not None), None)
        for place, vector in ((0, query.short_term), (1, query.long_term), (3, query.text_vector)):
            assert found(hits, number, place) == expected(catalogue, vector, limit, unseen=False)
        assert found(hits, number, 2) == expected(catalogue, foremost, limit, unseen=True)


@pytest.mark.parametrize("limit", [1, 30, 100, 2000])
@pytest.mark.parametrize("items", [1, BLOCK - 1, BLOCK, 10 * BLOCK + 1])
def test_the_search_equals_a_full_sort(items: int, limit: int) -> None:
    check(catalogue_of(unit_vectors(items, DIM), items), queries_of(2 * LISTS + 1, items), limit)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 4))
def test_equal_items_are_found_in_the_order_of_their_keys(seed: int, limit: int, different: int) -> None:
    vectors = unit_vectors(different, DIM, seed)[np.random.default_rng(seed).integers(0, different, 300)]
    check(catalogue_of(vectors, seed), queries_of(3, seed), limit)


def test_ever_better_items_are_all_compared() -> None:
    """The pool fills up again and again."""
    angles = np.linspace(np.pi, 0, 3000)
    vectors = np.zeros((3000, DIM), dtype=np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    direction = np.eye(DIM, dtype=np.float32)[0]
    check(catalogue_of(vectors, 1), [Query(short_term=direction), Query(long_term=-direction)], 10)


def test_a_repeated_vector_of_a_query_finds_the_same_items() -> None:
    one, other = unit_vectors(2, DIM, 5)
    vectors = ((one, one, None), (one, other, other), (other, one, one), (other, other, other), (one, None, None))
    queries = [Query(short_term=short, long_term=long, text_vector=text) for short, long, text in vectors]
    check(catalogue_of(unit_vectors(300, DIM), 2), queries, 30)


def test_a_reused_row_has_the_new_item() -> None:
    catalogue = catalogue_of(unit_vectors(300, DIM), 5)
    for number in range(0, 300, 3):
        catalogue.remove(str(number))
    check(catalogue, queries_of(5, 5), 400)
    for number, vector in enumerate(quantise(unit_vectors(150, DIM, 6))):
        catalogue.upsert(item(f"new {number}"), vector)
    check(catalogue, queries_of(5, 5), 400)
