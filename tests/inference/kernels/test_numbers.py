"""Item numbers: one for each key, kept while it is referenced, and then reused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.votes import ItemNumbers

pytestmark = pytest.mark.kernel

CLOSE = [number << 40 for number in range(40)]
"""Keys whose search starts at the same place in a table of any size that tests reach."""


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([*CLOSE, *range(20)])), max_size=120))
def test_a_key_has_its_number_as_long_as_it_is_referenced(changes: list[tuple[bool, int]]) -> None:
    numbers, references, number_of = ItemNumbers(), Counter[int](), dict[int, int]()
    for has_come, key in changes:
        if has_come:
            number = numbers.retain(key)
            assert number == number_of.setdefault(key, number)
            references[key] += 1
        elif references[key]:
            numbers.release(number_of[key])
            references[key] -= 1
            if not references[key]:
                del number_of[key]
    assert len(numbers) == len(number_of) == len(set(number_of.values()))
    keys = [*CLOSE, *range(20)]
    assert numbers.find(np.array(keys, dtype=np.uint64)).tolist() == [number_of.get(key, -1) for key in keys]


def test_numbers_grow_and_are_reused() -> None:
    numbers = ItemNumbers()
    keys = np.random.default_rng(0).integers(0, 2**64, 1500, dtype=np.uint64)
    given_numbers = [numbers.retain(key) for key in keys.tolist()]
    assert numbers.find(keys).tolist() == given_numbers == list(range(1500))
    assert numbers.capacity >= 1500
    for number in given_numbers[::2]:
        numbers.release(number)
    assert (numbers.find(keys)[::2] == -1).all()
    assert numbers.find(keys)[1::2].tolist() == given_numbers[1::2]
    capacity = numbers.capacity
    assert {numbers.retain(key) for key in range(750)} == set(given_numbers[::2])
    assert numbers.capacity == capacity


def test_only_a_number_in_use_is_released() -> None:
    numbers = ItemNumbers()
    for number in (-1, 0, 10**9):
        with pytest.raises(LookupError, match=f"required a number in use, got {number}"):
            numbers.release(number)
