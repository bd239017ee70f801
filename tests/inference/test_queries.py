"""A batch of queries contains the data of its queries, as arrays of fixed width."""

from __future__ import annotations

import numpy as np
import pytest

from inference.kernels.gaps import gap_bucket
from inference.queries import HABITS, LABELS, LONG_TERM, RECENT, SEARCH, SHORT_TERM, QueryBatch
from inference.retrieval.vectors import quantise
from inference.types import Habits, PriceHabit, Query, Remembered
from tests.inference.catalogues import DIM, unit_vectors


def test_a_query_becomes_a_record() -> None:
    one, other = unit_vectors(2)
    query = Query(
        text="red cable",
        text_vector=one,
        long_term=other,
        categories={5: 0.25, 6: 0.75, 7: 0.25},
        brands={8: 1.0},
        recent=(Remembered(9, "bought", 5_000), Remembered(2**64 - 1, "viewed", 65_000)),
        session=np.array([3, 2**64 - 2], dtype=np.uint64),
        habits=Habits(np.array([4], dtype=np.uint64), *(np.array([number], dtype=np.float32) for number in (2, 30, 7))),
        price=PriceHabit(3.5, 0.5),
        exclude=np.arange(200, dtype=np.uint64),
        k=7,
    )
    batch = QueryBatch.of([Query(), query], DIM)
    assert len(batch) == 2
    empty, record = batch.records
    assert record["session"][: record["session_length"]].tolist() == [3, 2**64 - 2]
    assert record["recent"][: record["recent_length"]].tolist() == [9, 2**64 - 1]
    assert record["recent_actions"][:2].tolist() == [3, 0]
    assert (record["pause"], record["recent_gaps"][:2].tolist()) == (gap_bucket(5_000), [0, gap_bucket(60_000)])
    # The heaviest first, ties by the greater label.
    assert record["categories"][: record["categories_length"]].tolist() == [6, 7, 5]
    assert record["category_shares"][:3].tolist() == [0.75, 0.25, 0.25]
    assert (record["brands"][0], record["brand_shares"][0], record["brands_length"]) == (8, 1.0, 1)
    habits = ("habits", "habit_weights", "habit_elapsed_days", "habit_interval_days", "habit_regular")
    assert [record[name][0] for name in habits] == [4, 2, 30, 7, 0]
    assert (record["price_mean"], record["price_deviation"], record["k"], record["searching"]) == (3.5, 0.5, 7, 1)
    assert all(empty[f"{name}_length"] == 0 for name in ("session", "recent", "habits", "categories", "brands"))
    assert np.isnan(empty["price_mean"])
    assert (empty["k"], empty["searching"]) == (20, 0)
    assert batch.texts == [None, "red cable"]
    assert batch.exclude_starts.tolist() == [0, 0, 200]
    assert batch.exclude.tolist() == list(range(200))


def test_vectors_are_rounded_and_missing_ones_are_zero() -> None:
    short_term, long_term, search = unit_vectors(3)
    batch = QueryBatch.of([Query(short_term=short_term), Query(text_vector=search, long_term=long_term)], DIM)
    assert batch.vectors[0, SHORT_TERM].tolist() == quantise(short_term).tolist()
    assert batch.vectors[1, LONG_TERM].tolist() == quantise(long_term).tolist()
    assert batch.vectors[1, SEARCH].tolist() == quantise(search).tolist()
    assert (batch.inverse_norms > 0).tolist() == [[True, False, False], [False, True, True]]
    assert not batch.vectors[0, [LONG_TERM, SEARCH]].any()
    norms = np.linalg.norm(batch.vectors.astype(float), axis=-1)
    assert batch.inverse_norms[0, SHORT_TERM] == pytest.approx(1 / norms[0, SHORT_TERM])


def test_lists_are_cut_to_their_width() -> None:
    many = np.arange(1, 101, dtype=np.uint64)
    numbers = many.astype(np.float32)
    query = Query(
        session=many,
        recent=tuple(Remembered(key, "clicked") for key in many.tolist()),
        habits=Habits(many, numbers, numbers, numbers),
        categories={key: key / 100 for key in many.tolist()},
    )
    (record,) = QueryBatch.of([query], DIM).records
    assert record["session"].tolist() == record["recent"].tolist() == many[:RECENT].tolist()
    assert record["session_length"] == record["recent_length"] == RECENT
    assert record["habits"].tolist() == record["habit_weights"].tolist() == many[:HABITS].tolist()
    assert record["habit_regular"].tolist() == [0, 0, *[1] * (HABITS - 2)]
    assert record["categories"].tolist() == many[: -LABELS - 1 : -1].tolist()
    assert record["categories_length"] == LABELS


def test_no_queries_make_an_empty_batch_and_an_unknown_action_is_refused() -> None:
    empty = QueryBatch.of([], DIM)
    assert len(empty) == 0
    assert empty.vectors.shape == (0, 3, DIM)
    assert empty.exclude_starts.tolist() == [0]
    with pytest.raises(ValueError, match="eaten"):
        QueryBatch.of([Query(recent=(Remembered(1, "eaten"),))], DIM)
