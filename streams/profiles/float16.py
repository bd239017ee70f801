"""Float16 as bits, for kernels: numba cannot read float16 on a CPU. Numbers are not negative.

IEEE 754 binary16 has 10 bits of fraction and an exponent biased by 15. The smallest numbers, with exponent 0, have no
leading one.
"""

from __future__ import annotations

from math import frexp, inf, ldexp, nan

import numpy as np

from inference.kernels.compiler import helper

INFINITE = 0x7C00
TOO_LARGE = 65_520.0
"""Smallest number that rounds to infinity."""


@helper
def from_half(bits: int) -> float:
    """Return the number of these 16 bits."""
    exponent, fraction = int(bits >> 10) & 31, int(bits) & 1023
    if exponent == 0:
        return ldexp(float(fraction), -24)
    if exponent == 31:
        return inf if fraction == 0 else nan
    return ldexp(float(1024 + fraction), exponent - 25)


@helper
def to_half(number: float) -> int:
    """Return the bits of the nearest float16, ties to even. The number is not negative; NaN becomes 0."""
    if not number > 0.0:
        return 0
    if number >= TOO_LARGE:
        return INFINITE
    fraction, exponent = frexp(number)
    if exponent < -13:
        return int(np.rint(ldexp(number, 24)))
    # A fraction that rounds up to 2,048 carries into the exponent, which is the right result.
    return ((exponent + 13) << 10) + int(np.rint(fraction * 2048.0))
