"""The selected rows equal those of a full sort, for every order of input, with ties by key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.selection import cut, keep_best, select, sort_best_first
from inference.types import Keys

pytestmark = pytest.mark.kernel

scored = st.lists(st.sampled_from([-1.0, -0.25, 0.0, 0.25, 1.0]), max_size=80)
unequal = st.lists(st.floats(-2, 2, width=32), max_size=80)


def columns(given_scores: list[float], seed: int = 0) -> tuple[list[int], list[float], Keys]:
    """Return shuffled rows, the score of each, and the keys of all rows."""
    random = np.random.default_rng(seed)
    keys = random.permutation(len(given_scores)).astype(np.uint64) << np.uint64(40)
    return random.permutation(len(given_scores)).tolist(), given_scores, keys


def in_32_bits(scores: list[float]) -> list[float]:
    """Return scores as 32 bits hold them."""
    return [float(np.float32(score)) for score in scores]


def expected(rows: list[int], scores: list[float], keys: Keys) -> list[tuple[int, float]]:
    return sorted(zip(rows, scores, strict=True), key=lambda entry: (-entry[1], keys[entry[0]]))


@given(scored)
def test_rows_are_sorted_by_falling_score_and_key(given_scores: list[float]) -> None:
    rows, scores, keys = columns(given_scores)
    held_rows, held_scores = np.array(rows, dtype=np.int32), np.array(scores, dtype=np.float32)
    sort_best_first(held_rows, held_scores, keys, len(rows))
    assert list(zip(held_rows.tolist(), held_scores.tolist(), strict=True)) == expected(rows, scores, keys)


@given(scored, st.integers(1, 79))
def test_the_best_are_kept_and_the_worst_of_them_is_last(given_scores: list[float], limit: int) -> None:
    rows, scores, keys = columns(given_scores)
    if limit >= len(rows):
        return
    held_rows, held_scores = np.array(rows, dtype=np.int32), np.array(scores, dtype=np.float32)
    keep_best(held_rows, held_scores, keys, len(rows), limit)
    found = list(zip(held_rows.tolist(), held_scores.tolist(), strict=True))
    best = expected(rows, scores, keys)
    assert found[limit - 1] == best[limit - 1]
    assert sorted(found[:limit]) == sorted(best[:limit])
    assert sorted(found) == sorted(best)


@given(st.one_of(scored, unequal), st.integers(1, 79))
def test_a_cut_keeps_the_best_and_returns_the_threshold(given_scores: list[float], limit: int) -> None:
    rows, scores, keys = columns(given_scores)
    if limit >= len(rows):
        return
    held_rows, held_scores = np.array(rows, dtype=np.int32), np.array(scores, dtype=np.float32)
    size, threshold = cut(held_rows, held_scores, keys, len(rows), limit)
    found = list(zip(held_rows[:size].tolist(), held_scores[:size].tolist(), strict=True))
    best = expected(rows, in_32_bits(scores), keys)[:limit]
    assert limit <= size <= limit + limit // 8
    assert set(best) <= set(found)
    assert threshold <= best[-1][1]


@given(st.one_of(scored, unequal), st.integers(0, 79))
def test_a_pool_gives_its_best_in_order(given_scores: list[float], limit: int) -> None:
    rows, scores, keys = columns(given_scores)
    held_rows, held_scores = np.array(rows, dtype=np.int32), np.array(scores, dtype=np.float32)
    to_rows, to_scores = np.empty(limit, dtype=np.int32), np.empty(limit, dtype=np.float32)
    count = select(keys, held_rows, held_scores, len(rows), to_rows, to_scores)
    found = list(zip(to_rows[:count].tolist(), to_scores[:count].tolist(), strict=True))
    assert found == expected(rows, in_32_bits(scores), keys)[:limit]


@pytest.mark.parametrize("order", ["rising", "falling", "organ pipe"])
def test_sorted_rows_are_sorted_as_well(order: str) -> None:
    scores = np.arange(2000, dtype=np.float32)
    if order != "rising":
        scores = scores[::-1].copy() if order == "falling" else np.minimum(scores, scores[::-1])
    rows, keys = np.arange(2000, dtype=np.int32), np.arange(2000, dtype=np.uint64)
    best = np.lexsort((keys, -scores)).tolist()
    sort_best_first(rows, scores, keys, 2000)
    assert rows.tolist() == best
