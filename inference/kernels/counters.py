"""Decayed counts by stable key: a hash table in arrays, and its heaviest keys without sorting all of them.

Forward decay (Cormode et al. 2009, doi:10.1109/ICDE.2009.65): a count is kept as Σ w · 2^((t − L) / h) against a
landmark L, so that time passing changes no count. The landmark moves only before the counts overflow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as TupleType
from numba.types import boolean, float64, int32, int64, uint64

from inference.kernels.compiler import helper, kernel
from inference.types import Keys

Weights = npt.NDArray[np.float64]

LENGTH, LANDMARK_MS, LATEST_MS = 0, 1, 2
"""Places in `Counters.numbers`."""
LARGEST_EXPONENT = 512.0
"""The landmark moves after this many half-lives, long before a float64 overflows at 1024."""
SMALLEST_EXPONENT = -1074.0
"""2 to this power is the smallest positive float64."""
FEW = 16
"""Insertion sort is faster than partitioning on so many entries."""
EMPTY = -1


class Counters(NamedTuple):
    """Counts with one half-life.

    Attributes:
        keys: stable keys, (capacity,).
        weights: their counts, measured against the landmark, (capacity,).
        table: rows by hash, EMPTY where there is none; open addressing with linear probing. Its length is a power of
            two and at least four times the capacity.
        numbers: how many keys there are, the landmark, and the time of the newest action, in milliseconds.
        least: the least weight among the heaviest when they were last looked at, (1,).
    """

    keys: Keys
    weights: Weights
    table: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.int64]
    least: Weights


COUNTERS = TupleType([uint64[::1], float64[::1], int32[::1], int64[::1], float64[::1]], Counters)


def counters(capacity: int, landmark_ms: int) -> Counters:
    """Return empty counters with room for `capacity` keys."""
    places = 1 << (4 * capacity - 1).bit_length()
    return Counters(
        np.zeros(capacity, dtype=np.uint64),
        np.zeros(capacity, dtype=np.float64),
        np.full(places, EMPTY, dtype=np.int32),
        np.array([0, landmark_ms, landmark_ms], dtype=np.int64),
        np.zeros(1, dtype=np.float64),
    )


@helper
def place_of(table: Any, keys: Any, key: Any) -> Any:
    """Return the place of a key in the hash table, or the empty place where it belongs. Keys are hashes already."""
    mask = np.uint64(len(table) - 1)
    place = np.int64(key & mask)
    while table[place] != EMPTY and keys[table[place]] != key:
        place = (place + 1) & (len(table) - 1)
    return place


@helper
def sort_heaviest(weights: Any, keys: Any, length: int, limit: int, in_order: bool) -> None:
    """Put the `limit` heaviest of the first `length` rows in front; their order means something only if asked for.

    Rows are ordered by falling weight, ties by falling key. Quicksort (Hoare 1962, doi:10.1093/comjnl/5.1.10) with the
    middle row as pivot, which leaves out the parts behind `limit`, and those before it unless all is to be in order.
    The smaller part comes first, so the stack holds at most log2(length) parts.
    """
    firsts, lasts = np.empty(64, dtype=np.int64), np.empty(64, dtype=np.int64)
    firsts[0], lasts[0] = 0, length - 1
    waiting = 1
    while waiting > 0:
        waiting -= 1
        first, last = firsts[waiting], lasts[waiting]
        while last - first >= FEW and first < limit and (in_order or last >= limit):
            middle = (first + last) // 2
            weight, key = weights[middle], keys[middle]
            left, right = first, last
            while left <= right:
                while weights[left] > weight or (weights[left] == weight and keys[left] > key):
                    left += 1
                while weights[right] < weight or (weights[right] == weight and keys[right] < key):
                    right -= 1
                if left <= right:
                    weights[left], weights[right] = weights[right], weights[left]
                    keys[left], keys[right] = keys[right], keys[left]
                    left += 1
                    right -= 1
            if right - first < last - left:
                firsts[waiting], lasts[waiting] = left, last
                last = right
            else:
                firsts[waiting], lasts[waiting] = first, right
                first = left
            waiting += 1
        if first >= limit or last - first >= FEW:
            continue
        for row in range(first + 1, last + 1):
            weight, key = weights[row], keys[row]
            at = row
            while at > first and (weight > weights[at - 1] or (weight == weights[at - 1] and key > keys[at - 1])):
                weights[at], keys[at] = weights[at - 1], keys[at - 1]
                at -= 1
            weights[at], keys[at] = weight, key


@kernel(int64(COUNTERS, int32[::1], uint64[::1], int64[::1], float64[::1], int64, int64, float64))
def count(
    counted: Any, partitions: Any, keys: Any, at_ms: Any, weights: Any, first: int, partition: int, half_life_ms: float
) -> int:
    """Count the actions of one partition, in order, until the counters are full.

    Args:
        counted: the partition's counters.
        partitions: of each action, (n,); those of other partitions are left out.
        keys: stable keys of the items, (n,).
        at_ms: when the actions happened, (n,).
        weights: of the actions, (n,).
        first: the action to begin with.
        partition: the partition.
        half_life_ms: after which an action counts half.

    Returns:
        The action to go on with once there is room, n when all are counted.
    """
    numbers, table = counted.numbers, counted.table
    last_ms, growth = np.int64(0), 0.0
    for action in range(first, len(keys)):
        if partitions[action] != partition:
            continue
        if numbers[LENGTH] == len(counted.keys):
            return action
        numbers[LATEST_MS] = max(numbers[LATEST_MS], at_ms[action])
        elapsed_ms = numbers[LATEST_MS] - numbers[LANDMARK_MS]
        if elapsed_ms > LARGEST_EXPONENT * half_life_ms:
            factor = 2.0 ** max(-elapsed_ms / half_life_ms, SMALLEST_EXPONENT)
            for row in range(numbers[LENGTH]):
                counted.weights[row] *= factor
            counted.least[0] *= factor
            numbers[LANDMARK_MS] = numbers[LATEST_MS]
            growth = 0.0
        if growth == 0.0 or at_ms[action] != last_ms:
            last_ms = at_ms[action]
            growth = 2.0 ** max((last_ms - numbers[LANDMARK_MS]) / half_life_ms, SMALLEST_EXPONENT)
        place = place_of(table, counted.keys, keys[action])
        row = table[place]
        if row != EMPTY:
            counted.weights[row] += weights[action] * growth
        else:
            row = numbers[LENGTH]
            table[place] = row
            counted.keys[row], counted.weights[row] = keys[action], weights[action] * growth
            numbers[LENGTH] += 1
    return len(keys)


@kernel(int64(COUNTERS, int64, boolean, uint64[::1], float64[::1]))
def heaviest(counted: Any, limit: int, in_order: bool, keys: Any, weights: Any) -> int:
    """Find the `limit` heaviest keys and return how many there are.

    Weights only grow between two changes of the landmark, and so does the least of the heaviest weights: nothing below
    the one of the last call needs to be looked at.

    Args:
        counted: the counters.
        limit: keys to find, the same at each call.
        in_order: whether to sort them, by falling weight, ties by falling key.
        keys: receives the keys, (capacity,).
        weights: receives their weights, (capacity,).
    """
    found = 0
    for row in range(counted.numbers[LENGTH]):
        if counted.weights[row] >= counted.least[0]:
            keys[found], weights[found] = counted.keys[row], counted.weights[row]
            found += 1
    sort_heaviest(weights, keys, found, limit, in_order)
    if found < limit:
        return found
    least = weights[0]
    for row in range(1, limit):
        least = min(least, weights[row])
    counted.least[0] = least
    return limit
