"""Support proves distinct shoppers, estimates their number, and limits the weight of each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.support import BITS, EVERYONE, SHOPPERS, Support, all_supported, bit_of, bits_set, supported


def bits_of(shoppers: range) -> np.uint64:
    bits = np.uint64(0)
    for shopper in np.random.default_rng(1).integers(0, 2**16, shoppers.stop)[shoppers.start :].tolist():
        bits |= bit_of(shopper)
    return bits


@pytest.mark.parametrize("number", [1, 2, 3, 10, 30, 60])
def test_bits_never_exceed_the_shoppers_and_estimate_their_number(number: int) -> None:
    bits = bits_set(bits_of(range(number)))
    assert 1 <= bits <= number
    assert SHOPPERS[bits] == pytest.approx(number, rel=0.35)


def test_the_estimate_is_that_of_linear_counting() -> None:
    assert SHOPPERS[[0, 1, 63]] == pytest.approx([0, 64 * math.log(64 / 63), 64 * math.log(64)])
    assert SHOPPERS[BITS] == math.inf


def test_a_weight_needs_enough_shoppers_and_is_limited_for_each() -> None:
    one, three = bit_of(5), bits_of(range(3))
    assert supported(9.0, one, Support(2)) == 0.0
    assert supported(9.0, one, Support()) == 9.0
    assert supported(9.0, three, Support(3)) == 9.0
    assert supported(90.0, three, Support(3, 2.0)) == pytest.approx(6.0, rel=0.05)
    assert supported(90.0, np.uint64(EVERYONE), Support(32, 0.1)) == 90.0


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, EVERYONE)), max_size=20),
    st.integers(1, 32),
    st.sampled_from([0.5, 3.0, math.inf]),
)
def test_arrays_equal_single_weights(entries: list[tuple[float, int]], min_shoppers: int, each: float) -> None:
    support = Support(min_shoppers, each)
    weights = np.array([weight for weight, _ in entries])
    shoppers = np.array([bits for _, bits in entries], dtype=np.uint64)
    expected = [supported(weight, bits, support) for weight, bits in zip(weights, shoppers, strict=True)]
    assert all_supported(weights, shoppers, support).tolist() == expected
