"""Intent vectors of a profile: decayed sums of unit vectors, kept as int16 shares of their largest component.

Kernels call these helpers. They work in place, and in float32 as the stored bytes do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inference.kernels.compiler import helper
from streams.profiles.batch import Scratch
from streams.profiles.layout import SHARES

NEXT_TO_NOTHING = np.float32(2.0**-75)
"""A vector whose largest component is smaller counts as zero: a float32 cannot hold its length squared."""
TOO_LARGE = np.float32(2.0**127)
NOTHING = np.float32(0.0)

Array = Any
int32_of: Any = np.int32


@helper
def copy(values: Array, target: Array) -> None:
    """Copy an array into one that is at least as long."""
    for j in range(len(values)):
        target[j] = values[j]


@helper
def clear(values: Array) -> None:
    """Set all of an array to 0."""
    for j in range(len(values)):
        values[j] = 0


@helper
def to_unit(integers: Array, unit: Array) -> None:
    """Write the unit vector that an int8 vector stands for."""
    squares = 0
    for j in range(len(integers)):
        component = int32_of(integers[j])
        squares += component * component
    norm = np.float32(1.0) / np.sqrt(np.float32(squares)) if squares > 0 else NOTHING
    for j in range(len(integers)):
        unit[j] = np.float32(integers[j]) * norm


@helper
def fade(shares: Array, largest: np.float32) -> np.float32:
    """Return the largest component of a vector after time passed: no share changes, until nothing is left."""
    if largest >= NEXT_TO_NOTHING:
        return largest
    clear(shares)
    return NOTHING


@helper
def fade_and_add(shares: Array, largest: np.float32, amount: np.float32, scratch: Scratch) -> np.float32:
    """Add `amount` times the unit vector to the vector of these shares of `largest`; return the largest component."""
    unit, sums, bits = scratch.unit, scratch.sums, scratch.bits
    scale = largest / np.float32(SHARES)
    for j in range(len(shares)):
        sums[j] = np.float32(shares[j]) * scale + unit[j] * amount
    # The bits of positive floats sort as they do, and integers are compared in vector registers.
    greatest = int32_of(0)
    for j in range(len(bits)):
        greatest = max(greatest, bits[j] & int32_of(0x7FFFFFFF))
    largest = NOTHING
    for j in range(len(bits)):
        if bits[j] & int32_of(0x7FFFFFFF) == greatest:
            largest = abs(sums[j])
            break
    if not NEXT_TO_NOTHING <= largest < TOO_LARGE:
        clear(shares)
        return NOTHING
    inverse = np.float32(SHARES) / largest
    for j in range(len(shares)):
        shares[j] = np.int16(np.rint(sums[j] * inverse))
    return largest


@helper
def write_intent(shares: Array, largest: np.float32, integers: Array) -> np.float32:
    """Write an intent as `quantise` does; one whose `largest` component is next to nothing has no direction."""
    if largest >= NEXT_TO_NOTHING:
        return quantise(shares, integers)
    clear(integers)
    return NOTHING


@helper
def quantise(vector: Array, integers: Array) -> np.float32:
    """Write a vector as int8, its largest component at ±127, and return 1 / ‖integers‖; zero for the zero vector."""
    largest = NOTHING
    for j in range(len(vector)):
        largest = max(largest, abs(np.float32(vector[j])))
    squares = 0
    if largest > NOTHING:
        scale = np.float32(127.0) / largest
        for j in range(len(vector)):
            integer = int32_of(np.rint(np.float32(vector[j]) * scale))
            integers[j] = integer
            squares += integer * integer
    if squares == 0:
        clear(integers)
        return NOTHING
    return np.float32(1.0 / np.sqrt(np.float32(squares)))


@helper
def length(shares: Array, largest: np.float32) -> float:
    """Return the length of the vector of these shares of `largest`."""
    squares = 0.0
    for j in range(len(shares)):
        squares += np.float64(shares[j]) * np.float64(shares[j])
    return float(np.sqrt(squares) * largest / SHARES)
