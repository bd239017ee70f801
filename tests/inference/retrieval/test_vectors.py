"""Similarities of small integers are exact: batch size, order of rows and library change no bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import MAX_DIM, dequantise, inverse_norms, quantise
from inference.types import Vector
from tests.inference.catalogues import catalogue_of, unit_vectors

floats = st.integers(-1000, 1000).map(lambda thousandths: thousandths / 1000)


def rows_of(dim: int) -> st.SearchStrategy[Vector]:
    return st.lists(st.lists(floats, min_size=dim, max_size=dim), min_size=1, max_size=8).map(
        lambda rows: np.array(rows, dtype=np.float32)
    )


@given(rows_of(6))
def test_the_largest_component_becomes_127_and_zero_stays_zero(vectors: Vector) -> None:
    integers = quantise(vectors)
    for vector, whole in zip(vectors, integers, strict=True):
        assert np.abs(whole.astype(int)).max() == (127 if vector.any() else 0)


def test_rounding_costs_less_than_a_thousandth_of_a_cosine_on_average() -> None:
    vectors = unit_vectors(300, 384)
    integers = dequantise(quantise(vectors))
    errors = np.abs(vectors @ vectors.T - integers @ integers.T)
    assert errors.mean() < 1e-3
    assert errors.max() < 4e-3


@given(st.integers(1, MAX_DIM), st.integers(0, 2**32 - 1))
def test_norms_and_products_are_exact_up_to_the_largest_dimension(dim: int, seed: int) -> None:
    integers = np.random.default_rng(seed).choice(np.array([-127, 127, 126, 1], dtype=np.int8), (2, dim))
    as_floats = integers.astype(np.float32)
    exact = [sum(int(a) * int(b) for a, b in zip(integers[0], each, strict=True)) for each in integers]
    assert (as_floats @ as_floats[0]).tolist() == exact
    assert float(inverse_norms(as_floats[0])) == np.float32(1) / np.sqrt(np.float32(exact[0]))


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 8, 384, MAX_DIM]), st.integers(1, 20))
def test_any_batch_and_any_catalogue_give_the_same_bits(seed: int, dim: int, number: int) -> None:
    vectors, queries = unit_vectors(40, dim, seed), unit_vectors(number, dim, seed + 1)
    catalogue = catalogue_of(vectors)
    integers, requested = quantise(vectors).astype(np.int64), quantise(queries).astype(np.int64)
    products = (requested @ integers.T).astype(np.float32)
    norms = [inverse_norms(each.astype(np.float32)) for each in (requested, integers)]
    expected = products * norms[0][:, None] * norms[1]
    for query, found, scores in zip(queries, catalogue.search(queries, 40), expected, strict=True):
        assert found.scores.tolist() == scores[found.rows].tolist()
        (alone,) = catalogue.search(query[None], 40)
        assert (alone.rows.tolist(), alone.scores.tolist()) == (found.rows.tolist(), found.scores.tolist())


def test_the_largest_sums_are_exact() -> None:
    extreme = np.ones((2, MAX_DIM), dtype=np.float32)
    extreme[1, 0] = 126 / 127
    integers = quantise(extreme).astype(int)
    for query, found in zip(integers, catalogue_of(extreme).search(-extreme, 2), strict=True):
        for row, score in zip(found.rows, found.scores, strict=True):
            norms = [np.float32(1) / np.sqrt(np.float32(each @ each)) for each in (query, integers[row])]
            assert score == np.float32(-(query @ integers[row])) * norms[0] * norms[1]


def test_a_score_is_the_cosine() -> None:
    vectors = unit_vectors(20, 8)
    integers = quantise(vectors).astype(int)
    for one, found in enumerate(catalogue_of(vectors).search(vectors, 20)):
        for other, cosine in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
            product = int(integers[one] @ integers[other])
            square = Fraction(product**2, int(integers[one] @ integers[one]) * int(integers[other] @ integers[other]))
            assert abs(cosine) == pytest.approx(float(square) ** 0.5, rel=1e-6)


@given(rows_of(5))
def test_dequantised_vectors_are_unit_vectors_or_zero(vectors: Vector) -> None:
    norms = np.linalg.norm(dequantise(quantise(vectors)), axis=1)
    assert norms == pytest.approx(vectors.any(axis=1).astype(float), rel=1e-5)


@pytest.mark.parametrize("dim", [0, MAX_DIM + 1])
def test_dimensions_without_exact_products_are_refused(dim: int) -> None:
    with pytest.raises(ValueError, match=f"got {dim}"):
        Catalogue(dim)
