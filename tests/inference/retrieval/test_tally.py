"""Numbers added up and told apart: each against the obvious way to do it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.postings import Postings
from inference.retrieval.tally import Tally, distinct

numbers = st.lists(st.integers(0, 19), max_size=60)


@given(numbers)
def test_distinct_numbers_are_those_of_a_set(given_numbers: list[int]) -> None:
    array = np.array(given_numbers, dtype=np.intp)
    few, places = distinct(array, 20)
    assert sorted(few.tolist()) == sorted(set(given_numbers))
    assert few[places].tolist() == given_numbers


@given(st.lists(st.dictionaries(st.integers(0, 19), st.integers(1, 5)), max_size=4))
def test_terms_add_up_to_what_a_dict_would_hold_and_leave_nothing_behind(terms: list[dict[int, int]]) -> None:
    tally = Tally(20)
    arrays = [(np.array([*term], dtype=np.intp), np.array([*term.values()], dtype=np.float64)) for term in terms]
    expected = {number: sum(term.get(number, 0) for term in terms) for term in terms for number in term}
    for _ in range(2):
        found, sums = tally.add_up(arrays)
        assert dict(zip(found.tolist(), sums.tolist(), strict=True)) == expected
        assert len(found) == len(expected)


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
