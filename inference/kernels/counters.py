"""Decayed counts by stable key: a hash table in arrays that keeps its heaviest keys in order.

Forward decay (Cormode et al. 2009, doi:10.1109/ICDE.2009.65): a count is Σ w · 2^((t − L) / h) relative to a landmark
L, so counts do not change as time passes. The landmark moves only before the counts overflow.

Between two moves of the landmark a count only grows. So a key can enter the heaviest ones, or rise among them, only
when it is counted itself: one step of an insertion sort keeps them in order. It enters only with enough distinct
shoppers (`support.py`).

No shopper counts more for a key than the second heaviest one, so a single shopper cannot make a key popular. With W the
sum of a key's actions and m1, m2 the greatest sums of one shopper each, its weight is W − (m1 − m2). Sums of all
shoppers would take too much room: two counters for each key estimate m1 − m2 (Misra & Gries 1982,
doi:10.1016/0167-6423(82)90012-0). An action of a third shopper lowers both counters by the same amount, as far as the
smaller one reaches. So m1 − m2 stays, and m1 is too small by at most W / 3: one shopper adds at most 1.5 times the
weight of all others together. Weights still only grow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as TupleType
from numba.types import float64, int32, int64, uint64

from inference.kernels.compiler import helper, kernel
from inference.kernels.support import SUPPORT, Support, bits_set, is_one
from inference.types import Keys

Weights = npt.NDArray[np.float64]

LENGTH, LANDMARK_MS, LATEST_MS, HEAVIEST = 0, 1, 2, 3
"""Indices into `Counters.numbers`."""
LARGEST_EXPONENT = 512.0
"""Half-lives after which the landmark moves, long before a float64 overflows at 1024."""
SMALLEST_EXPONENT = -1074.0
"""2 to this power is the smallest positive float64."""
EMPTY = NONE = -1


class Counters(NamedTuple):
    """Counts with one half-life.

    Attributes:
        keys: stable keys, (capacity,).
        weights: their counts, relative to the landmark, (capacity,).
        shoppers: their shoppers, uint64 (capacity,).
        leading: estimated sums of the two heaviest shoppers of each key, relative to the landmark, (capacity, 2).
        leaders: the bits of these shoppers, 0 without one, uint64 (capacity, 2).
        table: rows by hash, EMPTY in a free place; open addressing with linear probing. Its length is a power of two
            and at least four times the capacity.
        numbers: the number of keys, the landmark and the time of the newest action, both in milliseconds, and the
            number of heaviest keys.
        heaviest: rows of the heaviest keys, by falling weight, ties by falling key, (limit,).
        ranks: the place of each row among the heaviest, NONE without one, (capacity,).
    """

    keys: Keys
    weights: Weights
    shoppers: Keys
    leading: Weights
    leaders: Keys
    table: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.int64]
    heaviest: npt.NDArray[np.int32]
    ranks: npt.NDArray[np.int32]


class Actions(NamedTuple):
    """Actions on items, (n,) each.

    Attributes:
        partitions: the partition of each action, int32.
        keys: stable keys of the items.
        at_ms: the times of the actions, int64.
        weights: the weights of the actions.
        shoppers: the bits of their shoppers, uint64.
    """

    partitions: npt.NDArray[np.int32]
    keys: Keys
    at_ms: npt.NDArray[np.int64]
    weights: Weights
    shoppers: Keys


COUNTERS = TupleType(
    [
        uint64[::1], float64[::1], uint64[::1], float64[:, ::1], uint64[:, ::1], int32[::1], int64[::1], int32[::1],
        int32[::1],
    ],
    Counters,
)  # fmt: skip
ACTIONS = TupleType([int32[::1], uint64[::1], int64[::1], float64[::1], uint64[::1]], Actions)


def counters(capacity: int, limit: int, landmark_ms: int) -> Counters:
    """Return empty counters with room for `capacity` keys, which keep the `limit` heaviest in order."""
    places = 1 << (4 * capacity - 1).bit_length()
    return Counters(
        np.zeros(capacity, dtype=np.uint64),
        np.zeros(capacity, dtype=np.float64),
        np.zeros(capacity, dtype=np.uint64),
        np.zeros((capacity, 2), dtype=np.float64),
        np.zeros((capacity, 2), dtype=np.uint64),
        np.full(places, EMPTY, dtype=np.int32),
        np.array([0, landmark_ms, landmark_ms, 0], dtype=np.int64),
        np.zeros(limit, dtype=np.int32),
        np.full(capacity, NONE, dtype=np.int32),
    )


@helper
def place_of(table: Any, keys: Any, key: Any) -> Any:
    """Return the place of a key in the hash table, or the empty place where it belongs. Keys are hashes already."""
    mask = np.uint64(len(table) - 1)
    place = np.int64(key & mask)
    # The loop ends: at least three quarters of the places are free.
    while table[place] != EMPTY and keys[table[place]] != key:
        place = (place + 1) & (len(table) - 1)
    return place


@helper
def raise_row(counted: Any, row: int, min_shoppers: int) -> None:
    """Move a row whose weight has grown to its place among the heaviest, if it is one of them."""
    keys, weights, rows, ranks = counted.keys, counted.weights, counted.heaviest, counted.ranks
    rank = np.int64(ranks[row])
    if rank == NONE:
        if bits_set(counted.shoppers[row]) < min_shoppers:
            return
        # The row takes the next free place, or that of the lightest row if it is heavier.
        rank = counted.numbers[HEAVIEST]
        if rank < len(rows):
            counted.numbers[HEAVIEST] += 1
        elif rank == 0 or not is_heavier(keys, weights, row, rows[rank - 1]):
            return
        else:
            rank -= 1
            ranks[rows[rank]] = NONE
    while rank > 0 and is_heavier(keys, weights, row, rows[rank - 1]):
        rows[rank] = rows[rank - 1]
        ranks[rows[rank]] = rank
        rank -= 1
    rows[rank], ranks[row] = row, rank


@helper
def is_heavier(keys: Any, weights: Any, one: int, other: int) -> bool:
    """Return whether one row ranks before another one."""
    return bool(weights[one] > weights[other] or (weights[one] == weights[other] and keys[one] > keys[other]))


@helper
def levelled(counted: Any, row: int, shopper: Any, weight: float) -> float:
    """Add an action of one shopper to the counters of its key; return by how much the key's weight grows."""
    leading, leaders = counted.leading[row], counted.leaders[row]
    before = abs(leading[0] - leading[1])
    if leaders[0] == shopper:
        leading[0] += weight
    elif leaders[1] == shopper:
        leading[1] += weight
    else:
        # The step of Misra and Gries for a key that has no counter: both counters pay, and what is left of the weight
        # takes over the counter that reached 0.
        smaller = 0 if leading[0] < leading[1] else 1
        least = min(leading[smaller], weight)
        leading[0] -= least
        leading[1] -= least
        if weight > least:
            leading[smaller], leaders[smaller] = weight - least, shopper
    return float(max(weight + before - abs(leading[0] - leading[1]), 0.0))


@kernel(int64(COUNTERS, ACTIONS, int64, int64, float64, SUPPORT), allocates=False)
def count(counted: Any, actions: Actions, first: int, partition: int, half_life_ms: float, support: Support) -> int:
    """Count the actions of one partition, in order, until the counters are full.

    Args:
        counted: the partition's counters.
        actions: the actions; those of other partitions are skipped.
        first: the action to begin with.
        partition: the partition.
        half_life_ms: the time after which an action counts half.
        support: the distinct shoppers that one of the heaviest keys needs; with a limit of the weight of one
            shopper, and more than one required, none counts more than the second heaviest of its key.

    Returns:
        The action to continue with once the counters are larger, n when all are counted.
    """
    numbers, table = counted.numbers, counted.table
    partitions, keys, at_ms, weights, shoppers = actions
    min_shoppers = support.min_shoppers
    is_levelled = min_shoppers > 1 and support.weight_each < np.inf
    last_ms, growth = np.int64(0), 0.0
    for action in range(first, len(keys)):
        if partitions[action] != partition:
            continue
        # Also for a key that is known: the next action may need a row, and a kernel cannot allocate.
        if numbers[LENGTH] == len(counted.keys):
            return action
        numbers[LATEST_MS] = max(numbers[LATEST_MS], at_ms[action])
        elapsed_ms = numbers[LATEST_MS] - numbers[LANDMARK_MS]
        if elapsed_ms > LARGEST_EXPONENT * half_life_ms:
            factor = 2.0 ** max(-elapsed_ms / half_life_ms, SMALLEST_EXPONENT)
            for row in range(numbers[LENGTH]):
                counted.weights[row] *= factor
                counted.leading[row, 0] *= factor
                counted.leading[row, 1] *= factor
            numbers[LANDMARK_MS] = numbers[LATEST_MS]
            # Different weights may have become equal, because the smallest float64 cannot be divided. So the heaviest
            # keys are ranked again.
            numbers[HEAVIEST] = 0
            counted.ranks[:] = NONE
            for row in range(numbers[LENGTH]):
                raise_row(counted, row, min_shoppers)
            growth = 0.0
        # Actions of the same time share their factor.
        if growth == 0.0 or at_ms[action] != last_ms:
            last_ms = at_ms[action]
            growth = 2.0 ** max((last_ms - numbers[LANDMARK_MS]) / half_life_ms, SMALLEST_EXPONENT)
        place = place_of(table, counted.keys, keys[action])
        row = table[place]
        if row == EMPTY:
            row = numbers[LENGTH]
            table[place] = row
            counted.keys[row], counted.weights[row], counted.shoppers[row] = keys[action], 0.0, 0
            counted.leading[row], counted.leaders[row] = 0.0, 0
            numbers[LENGTH] += 1
        added = weights[action] * growth
        # A count of a snapshot has several shoppers, and was levelled before it was published.
        if is_levelled and is_one(shoppers[action]):
            added = levelled(counted, row, shoppers[action], added)
        counted.weights[row] += added
        counted.shoppers[row] |= shoppers[action]
        raise_row(counted, row, min_shoppers)
    return len(keys)
