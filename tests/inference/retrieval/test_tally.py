"""Numbers added up, told apart and kept within bounds: each against the obvious way to do it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.postings import Postings
from inference.retrieval.tally import Tally, among, distinct, greatest, greatest_of_each, pairs_of, spread, totals

numbers = st.lists(st.integers(0, 19), max_size=60)


@given(numbers)
def test_distinct_numbers_and_sums_are_those_of_a_dict(given_numbers: list[int]) -> None:
    array = np.array(given_numbers, dtype=np.intp)
    few, places = distinct(array, 20)
    assert sorted(few.tolist()) == sorted(set(given_numbers))
    assert few[places].tolist() == given_numbers
    sums = totals(places, np.ones(len(array)), len(few))
    assert dict(zip(few.tolist(), sums.tolist(), strict=True)) == {n: given_numbers.count(n) for n in given_numbers}


@given(st.lists(st.dictionaries(st.integers(0, 19), st.integers(1, 5)), max_size=4))
def test_terms_add_up_to_what_a_dict_would_hold_and_leave_nothing_behind(terms: list[dict[int, int]]) -> None:
    tally = Tally(20)
    arrays = [(np.array([*term], dtype=np.intp), np.array([*term.values()], dtype=np.float64)) for term in terms]
    expected = {number: sum(term.get(number, 0) for term in terms) for term in terms for number in term}
    for _ in range(2):
        found, sums = tally.add_up(arrays)
        assert dict(zip(found.tolist(), sums.tolist(), strict=True)) == expected
        assert len(found) == len(expected)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), unique=True, max_size=30), st.integers(0, 30))
def test_the_greatest_are_the_last_of_the_sorted(pairs: list[tuple[int, int]], limit: int) -> None:
    values, ties = (np.array([pair[column] for pair in pairs], dtype=np.int64) for column in (0, 1))
    chosen = greatest(limit, values, ties) if limit else np.empty(0, dtype=np.intp)
    assert sorted(pairs[place] for place in chosen) == sorted(pairs)[max(0, len(pairs) - limit) :]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), unique=True, max_size=30), st.integers(1, 6))
def test_the_greatest_of_each_query_are_the_greatest_of_its_own(pairs: list[tuple[int, int]], limit: int) -> None:
    queries, values = (np.array([pair[column] for pair in sorted(pairs)], dtype=np.int64) for column in (0, 1))
    kept = greatest_of_each(limit, queries, values // 10, values)
    own = [sorted(value for query, value in pairs if query == number)[-limit:] for number in range(4)]
    expected = [(number, value) for number, greatest_values in enumerate(own) for value in greatest_values]
    assert list(zip(queries[kept].tolist(), values[kept].tolist(), strict=True)) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=60))
def test_pairs_are_told_apart_and_their_rows_are_in_the_order_of_keys(given_pairs: list[tuple[int, int]]) -> None:
    keys = np.random.default_rng(0).permutation(10).astype(np.uint64)
    queries, rows = (np.array([pair[column] for pair in given_pairs], dtype=np.intp) for column in (0, 1))
    pairs, places = pairs_of(queries, rows, keys)
    told = list(zip(pairs.queries.tolist(), pairs.rows[pairs.places].tolist(), strict=True))
    assert sorted(told) == sorted(set(given_pairs))
    assert [told[place] for place in places] == given_pairs
    assert pairs.rows.tolist() == sorted({row for _, row in given_pairs}, key=lambda row: int(keys[row]))


@given(st.lists(st.integers(0, 4), max_size=10))
def test_lists_are_spread_entry_by_entry(lengths: list[int]) -> None:
    expected = [(number, place) for number, length in enumerate(lengths) for place in range(length)]
    assert list(zip(*(each.tolist() for each in spread(lengths)), strict=True)) == expected


def test_keys_among_a_few() -> None:
    keys = np.array([5, 6, 7], dtype=np.uint64)
    assert among(keys, keys[[2, 0]]).tolist() == [True, False, True]
    assert among(keys, keys[:0]).tolist() == [False] * 3


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=40))
def test_postings_are_a_set(changes: list[tuple[bool, int]]) -> None:
    postings, model = Postings(), set[int]()
    for put, value in changes:
        if put and value not in model:
            postings.add(value)
            model.add(value)
        elif not put:
            postings.remove(value)
            model.discard(value)
    assert sorted(postings.values.tolist()) == sorted(model)
    postings.keep(postings.values % 2 == 0)
    assert sorted(postings.values.tolist()) == sorted(value for value in model if value % 2 == 0)
