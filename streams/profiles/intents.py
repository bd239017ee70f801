"""Intent vectors of a profile: decayed sums of unit vectors, stored as int16 shares of their largest component.

Kernels call these helpers. They change arrays in place, and compute in float32 as the stored bytes do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inference.kernels.compiler import helper
from streams.profiles.batch import Scratch
from streams.profiles.layout import SHARES, Array

SMALLEST = np.float32(2.0**-75)
"""Vectors whose largest component is smaller count as zero: a float32 cannot hold the square of their length."""
TOO_LARGE = np.float32(2.0**127)
"""Limit of the largest component, above which a float32 may overflow."""
ZERO = np.float32(0.0)

int32_of: Any = np.int32


@helper
def copy(values: Array, target: Array) -> None:
    """Copy an array into one that is at least as long."""
    for j in range(len(values)):
        target[j] = values[j]


@helper
def clear(values: Array) -> None:
    """Set all elements to 0."""
    for j in range(len(values)):
        values[j] = 0


@helper
def to_unit(integers: Array, unit: Array) -> None:
    """Write the unit vector of an int8 vector."""
    squares = 0
    for j in range(len(integers)):
        component = int32_of(integers[j])
        squares += component * component
    norm = np.float32(1.0) / np.sqrt(np.float32(squares)) if squares > 0 else ZERO
    for j in range(len(integers)):
        unit[j] = np.float32(integers[j]) * norm


@helper
def fade(shares: Array, largest: np.float32) -> np.float32:
    """Return the largest component after a decay. The shares stay the same unless the vector has become zero."""
    if largest >= SMALLEST:
        return largest
    clear(shares)
    return ZERO


@helper
def fade_and_add(shares: Array, largest: np.float32, amount: np.float32, scratch: Scratch) -> np.float32:
    """Add `amount` times the unit vector in `scratch` to the vector. Return the new largest component."""
    unit, sums, bits = scratch.unit, scratch.sums, scratch.bits
    scale = largest / np.float32(SHARES)
    for j in range(len(shares)):
        sums[j] = np.float32(shares[j]) * scale + unit[j] * amount
    # Find the largest component by its bits. The bits of positive floats sort as the floats do, and integers are
    # compared in vector registers. NaN and infinity have the greatest bits, so they are found as well.
    greatest = int32_of(0)
    for j in range(len(bits)):
        greatest = max(greatest, bits[j] & int32_of(0x7FFFFFFF))
    largest = ZERO
    for j in range(len(bits)):
        if bits[j] & int32_of(0x7FFFFFFF) == greatest:
            largest = abs(sums[j])
            break
    if not SMALLEST <= largest < TOO_LARGE:
        clear(shares)
        return ZERO
    inverse = np.float32(SHARES) / largest
    for j in range(len(shares)):
        shares[j] = np.int16(np.rint(sums[j] * inverse))
    return largest


@helper
def write_intent(shares: Array, largest: np.float32, integers: Array) -> np.float32:
    """Write an intent as int8 and return its inverse norm, 0 for a vector that counts as zero."""
    if largest >= SMALLEST:
        return quantise(shares, integers)
    clear(integers)
    return ZERO


@helper
def quantise(vector: Array, integers: Array) -> np.float32:
    """Write a vector as int8 with its largest component at ±127. Return 1 / ‖integers‖, 0 for the zero vector."""
    largest = ZERO
    for j in range(len(vector)):
        largest = max(largest, abs(np.float32(vector[j])))
    squares = 0
    if largest > ZERO:
        scale = np.float32(127.0) / largest
        for j in range(len(vector)):
            integer = int32_of(np.rint(np.float32(vector[j]) * scale))
            integers[j] = integer
            squares += integer * integer
    if squares == 0:
        clear(integers)
        return ZERO
    return np.float32(1.0 / np.sqrt(np.float32(squares)))


@helper
def length(shares: Array, largest: np.float32) -> float:
    """Return the length of the vector with these shares."""
    squares = 0.0
    for j in range(len(shares)):
        squares += np.float64(shares[j]) * np.float64(shares[j])
    return float(np.sqrt(squares) * largest / SHARES)
