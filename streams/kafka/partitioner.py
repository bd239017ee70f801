"""Kafka's default partitioner: murmur2 of the key, as the Java client computes it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.types import int64, uint8

from inference.kernels.compiler import kernel

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
LOW = 0xFFFFFFFF
POSITIVE = 0x7FFFFFFF


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner chooses for this key."""
    return int(murmur2(np.frombuffer(bytearray(key), dtype=np.uint8)) & POSITIVE) % partitions


@kernel(int64(uint8[::1]), allocates=False)
def murmur2(key: npt.NDArray[np.uint8]) -> Any:
    """Return the unsigned 32-bit MurmurHash2 (Appleby 2008) of a key, with the seed of Kafka.

    All numbers are below 2**32, and the multiplier is below 2**31: no product overflows 64 bits.
    """
    length = len(key)
    hashed = SEED ^ length
    whole = length - length % 4
    for at in range(0, whole, 4):
        word = int(key[at]) | int(key[at + 1]) << 8 | int(key[at + 2]) << 16 | int(key[at + 3]) << 24
        word = word * MULTIPLIER & LOW
        word = (word ^ word >> 24) * MULTIPLIER & LOW
        hashed = (hashed * MULTIPLIER & LOW) ^ word
    if whole < length:
        for at in range(length - 1, whole - 1, -1):
            hashed ^= int(key[at]) << 8 * (at - whole)
        hashed = hashed * MULTIPLIER & LOW
    hashed = (hashed ^ hashed >> 13) * MULTIPLIER & LOW
    return hashed ^ hashed >> 15
