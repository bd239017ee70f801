"""Support: how many distinct shoppers stand behind a count, in 64 bits.

Each shopper sets one bit, chosen by a hash. This is linear counting (Whang, Vander-Zanden & Taylor 1990,
doi:10.1145/78922.78925): m bits of which u are still 0 are the trace of about −m ln(u / m) shoppers. The number of bits
that are set is never greater than the number of shoppers, so k bits prove k shoppers. Two shoppers share a bit in 1 of
64 cases; then it takes one more shopper.

A count is used only from `min_shoppers` shoppers on, and a shopper adds to it at most `weight_each`: without such a
limit, one shopper who acts for a hundred days would outweigh a hundred others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper

BITS = 64
EVERYONE = 2**64 - 1
"""Support of a count whose shoppers are unknown, because an older version stored it: neither held back nor cut."""
SHOPPERS = np.append(-BITS * np.log1p(-np.arange(BITS) / BITS), np.inf)
"""Estimated number of shoppers for each number of bits; with all of them, it is unbounded."""


CLAIMED_BY = 3
"""Fewest distinct shoppers behind a pair of items that a reason names."""


class Support(NamedTuple):
    """Conditions for the use of a count.

    Attributes:
        min_shoppers: fewest distinct shoppers, at most BITS.
        weight_each: greatest weight of one shopper.
    """

    min_shoppers: int = 1
    weight_each: float = float("inf")


ANY = Support()
"""No conditions."""
SUPPORT = types.NamedTuple((types.int64, types.float64), Support)


@helper
def bit_of(shopper: Any) -> np.uint64:
    """Return the bit of a shopper, given any hash that is not negative."""
    return np.uint64(1) << np.uint64(shopper % BITS)


@helper
def is_one(shoppers: Any) -> bool:
    """Return whether at most one bit is set."""
    return bool(shoppers & (shoppers - np.uint64(1)) == np.uint64(0))


@helper
def bits_set(shoppers: Any) -> int:
    """Return how many bits are set."""
    count = 0
    while shoppers != np.uint64(0):
        # Clears the lowest bit that is set.
        shoppers &= shoppers - np.uint64(1)
        count += 1
    return count


@helper
def supported(weight: float, shoppers: Any, support: Support) -> float:
    """Return the part of a weight that may be used: 0 without enough shoppers."""
    bits = bits_set(shoppers)
    if bits < support.min_shoppers:
        return 0.0
    if bits == BITS:
        return weight
    return min(weight, float(support.weight_each * SHOPPERS[bits]))


def all_supported(
    weights: npt.NDArray[np.float64], shoppers: npt.NDArray[np.uint64], support: Support
) -> npt.NDArray[np.float64]:
    """Return `supported` of each weight, (n,)."""
    bits = np.bitwise_count(shoppers)
    most = np.full(len(weights), np.inf)
    # No bound with all bits set. Without any, 0 · ∞ would give NaN; such a weight has no support anyway.
    np.multiply(SHOPPERS[bits], support.weight_each, out=most, where=(bits > 0) & (bits < BITS))
    return np.where(bits < support.min_shoppers, 0.0, np.minimum(weights, most))
