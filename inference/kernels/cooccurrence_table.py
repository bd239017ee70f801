"""Table of co-occurrence records: each relates an item to items or searches by weights, with lists in reverse.

A list has, for one related key, the records that have the key. Table and lists are bounded: a long list keeps its
strongest records. `cooccurrence_store.py` stores records, `cooccurrence_read.py` reads them. The serving side is
`inference/retrieval/cooccurrence.py`.

Records are as of different times. Their weights decay exponentially, so the order of two weights is the same at any
time. `strength_of` and `decay` make use of that: nothing is updated as time passes. Forward decay: Cormode, Shkapenyuk,
Srivastava & Xu 2009, doi:10.1109/ICDE.2009.65.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper
from inference.kernels.keytable import Numbers
from inference.kernels.newest import NEWEST, Newest, key_of, newest
from inference.kernels.postings import POSTINGS, Postings, append, drop_first, no_postings

Sums = npt.NDArray[np.float64]

LEAST = 1e-300
"""Least weight whose logarithm is taken."""
MOST_HALVINGS = 64
"""Greatest number of half-lives between two weights: further decay is negligible, and no power of two overflows."""
POWERS = 2.0 ** np.arange(-MOST_HALVINGS - 1, MOST_HALVINGS + 2)
APPEARED, VANISHED = 1, 0
"""Values of the third column of `RecordTable.changes`."""


class Bounds(NamedTuple):
    """Limits of the table, see the constants of `inference/retrieval/cooccurrence.py`.

    A list longer than `longest` is cut to its strongest `postings` entries; `block` is the block size of the longest
    list. An entry of a list is slot << bits | column.
    """

    capacity: int
    postings: int
    longest: int
    block: int
    bits: int
    half_life_ms: float


OWNER = np.dtype([("total", "<f8"), ("growth", "<f8"), ("halvings", "<i8"), ("item", "<i4")], align=True)
"""The item of a record: `item` is its number, `total` the weight of all actions on it. 2^halvings · growth, with growth
in [1, 2), is the factor by which a weight at the record's time outweighs the same weight at time 0."""
RELATION = np.dtype([("key", "<u8"), ("weight", "<f8"), ("old_strength", "<f8"), ("number", "<i4")], align=True)
"""A relation of a record to store: the related key, its weight and its number. `old_strength` belongs to the column of
the same index: the strength of the relation that the column had until now."""
Records = npt.NDArray[np.void]


class RecordTable(NamedTuple):
    """Records by slot.

    Attributes:
        newest: the slots, by the keys of items.
        owners: dtype OWNER (slots,).
        related: the numbers of the related keys, int32 (slots, width); undefined where the weight is 0.
        weights: as of the record's time, float64 (slots, width).
        postings: for each related number the strongest records that have it: entries slot << bits | column.
        changes: related keys that appeared with their first record or vanished with their last one, in order, uint64
            (n, 3): key, number, and APPEARED or VANISHED. Empty if changes are not tracked.
        bounds: the limits.
        scratch: memory for one record to store, dtype RELATION (width,).
        strengths: memory for the strengths of one list, float64 (block,).
    """

    newest: Newest
    owners: Records
    related: Numbers
    weights: Sums
    postings: Postings
    changes: npt.NDArray[np.uint64]
    bounds: Bounds
    scratch: Records
    strengths: Sums


BOUNDS = types.NamedTuple((types.int64,) * 5 + (types.float64,), Bounds)
RECORDS = types.NamedTuple(
    (
        NEWEST,
        numba.from_dtype(OWNER)[::1],
        types.int32[:, ::1],
        types.float64[:, ::1],
        POSTINGS,
        types.uint64[:, ::1],
        BOUNDS,
        numba.from_dtype(RELATION)[::1],
        types.float64[::1],
    ),
    RecordTable,
)


@helper
def strength_of(weight: float, at_ms: int, half_life_ms: float) -> float:
    """Return the logarithm of a weight at a common time, so that strengths of different times compare.

    Exponential decay adds the same number to all logarithms, so the order holds at any time.
    """
    return float(np.log2(max(weight, LEAST)) + at_ms / half_life_ms)


@helper
def decay(record: np.void, to: np.void) -> float:
    """Return the factor that converts a weight at one record's time to another's, which may be an earlier one.

    A table of powers of two and a quotient take the place of an exponential.
    """
    # No index leaves POWERS. The quotient is in (1/2, 2), so a difference clamped to MOST_HALVINGS + 1 still gives a
    # factor beyond 2^MOST_HALVINGS, which the last line bounds.
    halvings = min(max(record["halvings"] - to["halvings"], -MOST_HALVINGS - 1), MOST_HALVINGS + 1)
    factor = POWERS[halvings + MOST_HALVINGS + 1] * (record["growth"] / to["growth"])
    return float(min(max(factor, POWERS[1]), POWERS[2 * MOST_HALVINGS + 1]))


@helper
def sort_list(records: RecordTable, number: int) -> None:
    """Sort a list by strength, ties by the record's key, unless it is sorted (insertion sort).

    A list that was sorted here leaves its strengths in `records.strengths`.
    """
    held = records.postings.lists[number]
    if held["is_sorted"]:
        return
    start, length, bits = held["start"], held["length"], records.bounds.bits
    values, strengths, newest = records.postings.values, records.strengths, records.newest
    for at in range(length):
        value = values[start + at]
        slot = value >> bits
        weight = records.weights[slot, value - (slot << bits)]
        strength = strength_of(weight, newest.slots[slot]["at_ms"], records.bounds.half_life_ms)
        place = at
        # A list is sorted but for the entries since its last use, so most entries stay where they are.
        while place > 0:
            other = strengths[place - 1]
            if other < strength or (
                other == strength and key_of(newest, values[start + place - 1] >> bits) < key_of(newest, slot)
            ):
                break
            strengths[place], values[start + place] = other, values[start + place - 1]
            place -= 1
        strengths[place], values[start + place] = strength, value
    held["is_sorted"] = 1


@helper
def add_posting(records: RecordTable, number: int, value: int) -> None:
    """Add an entry to a list. A list that grows too long drops its weakest entries."""
    index, bounds = records.postings, records.bounds
    append(index, number, value)
    held = index.lists[number]
    held["is_sorted"] = 0
    if held["length"] > bounds.longest:
        # The new entry made the list unsorted, so this leaves the strengths of its entries in `records.strengths`.
        sort_list(records, number)
        few = held["length"] - bounds.postings
        last = index.values[held["start"] + few - 1]
        drop_first(index, number, few, records.strengths[few - 1], key_of(records.newest, last >> bounds.bits))


@helper
def remove_posting(records: RecordTable, number: int, value: int) -> None:
    """Remove an entry from a list, if it is listed."""
    held, values = records.postings.lists[number], records.postings.values
    start, last = held["start"], held["start"] + held["length"] - 1
    for at in range(start, last + 1):
        if values[at] == value:
            # A record has one entry in a list, so votes do not depend on the order. A long list is sorted when it is
            # read.
            values[at] = values[last]
            held["length"] = last - start
            held["is_sorted"] = 0
            return


def record_table(related: int, slots: int, width: int, bounds: Bounds, changes: int) -> RecordTable:
    """Return an empty table for related numbers below `related`, with room for `changes` changes."""
    return RecordTable(
        newest(slots),
        np.zeros(slots, dtype=OWNER),
        np.zeros((slots, width), dtype=np.int32),
        np.zeros((slots, width)),
        no_postings(related, width * bounds.block),
        np.zeros((changes, 3), dtype=np.uint64),
        bounds,
        np.zeros(width, dtype=RELATION),
        np.zeros(bounds.block),
    )
