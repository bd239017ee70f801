"""Records that relate an item to others by weights, see `inference/retrieval/cooccurrence.py`: how they are stored."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import EMPTY, HELD, KEY_TABLE, KeyTable, Numbers, find, is_full, release, retain
from inference.kernels.newest import NEWEST, Newest, drop, key_of, newest, precedes, renew, take
from inference.kernels.postings import (
    NONE_DROPPED,
    POSTINGS,
    TOP,
    Postings,
    append,
    clear,
    drop_first,
    is_listed,
    no_postings,
)
from inference.types import Keys

Sums = npt.NDArray[np.float64]

LEAST = 1e-300
"""Least weight whose logarithm is taken."""
MOST_HALVINGS = 64
"""Greatest number of half-lives between two weights: further decay is negligible, and no power of two overflows."""
POWERS = 2.0 ** np.arange(-MOST_HALVINGS - 1, MOST_HALVINGS + 2)
APPEARED, VANISHED = 1, 0


class Bounds(NamedTuple):
    """Limits of the table, see the constants of `inference/retrieval/cooccurrence.py`.

    A list longer than `longest` is cut to its strongest `postings` entries; `room` is the block of the longest list. An
    entry of a list is slot << bits | column.
    """

    capacity: int
    postings: int
    longest: int
    room: int
    bits: int
    half_life_ms: float


OWNER = np.dtype([("total", "<f8"), ("growth", "<f8"), ("halvings", "<i8"), ("item", "<i4")], align=True)
"""The item of a record: `item` is its number, `total` the weight of all actions on it. 2^halvings · growth, with growth
in [1, 2), is the factor by which a weight at the record's time outweighs the same weight at time 0."""
RELATION = np.dtype([("key", "<u8"), ("weight", "<f8"), ("before", "<f8"), ("number", "<i4")], align=True)
"""A relation of a record to store: the related key, its weight and its number. `before` belongs to the column of the
same index: the strength of the relation in that column so far."""
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
        strengths: memory for the strengths of one list, float64 (room,).
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


class WeightedRecords(NamedTuple):
    """Records to store: record i has `related[starts[i]:starts[i + 1]]` with the `weights` at the same places."""

    keys: Keys
    at_ms: npt.NDArray[np.int64]
    totals: Sums
    starts: npt.NDArray[np.int64]
    related: Keys
    weights: Sums


_sums, _numbers, _keys = types.float64[::1], types.int32[::1], types.uint64[::1]
_times = types.int64[::1]
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
        _sums,
    ),
    RecordTable,
)
BATCH = types.NamedTuple((_keys, _times, _sums, _times, _keys, _sums), WeightedRecords)


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
def enlist(records: RecordTable, number: int, value: int) -> None:
    """Add an entry to a list. A list that grows too long drops its weakest entries."""
    index, bounds = records.postings, records.bounds
    append(index, number, value)
    held = index.lists[number]
    held["is_sorted"] = 0
    if held["length"] > bounds.longest:
        sort_list(records, number)
        few = held["length"] - bounds.postings
        last = index.values[held["start"] + few - 1]
        drop_first(index, number, few, records.strengths[few - 1], key_of(records.newest, last >> bounds.bits))


@helper
def unlist(records: RecordTable, number: int, value: int) -> None:
    """Remove an entry from a list, if it is listed."""
    held, values = records.postings.lists[number], records.postings.values
    start, last = held["start"], held["start"] + held["length"] - 1
    for at in range(start, last + 1):
        if values[at] == value:
            values[at] = values[last]
            held["length"] = last - start
            held["is_sorted"] = 0
            return


@helper
def note(records: RecordTable, noted: Numbers, key: np.uint64, number: int, change: int) -> None:
    """Record that a related key appeared or vanished, if changes are tracked."""
    if len(records.changes) > 0:
        records.changes[noted[0], 0] = key
        records.changes[noted[0], 1] = np.uint64(number)
        records.changes[noted[0], 2] = np.uint64(change)
        noted[0] += 1


@helper
def leave(related: KeyTable, records: RecordTable, slot: int, column: int, noted: Numbers) -> None:
    """Remove a relation. With the last relation to a key its list and its number go."""
    number = records.related[slot, column]
    held = records.postings.lists[number]
    unlist(records, number, slot << records.bounds.bits | column)
    records.weights[slot, column] = 0.0
    held["records"] = held["records"] - 1
    if held["records"] == 0:
        clear(records.postings, number)
        note(records, noted, related.entries[number]["key"], number, VANISHED)
    release(related, number)


@helper
def forget(numbers: KeyTable, related: KeyTable, records: RecordTable, slot: int, noted: Numbers) -> None:
    """Remove a record with its relations."""
    for column in range(records.related.shape[1]):
        if records.weights[slot, column] > 0:
            leave(related, records, slot, column, noted)
    release(numbers, records.owners[slot]["item"])
    drop(records.newest, slot)


@helper
def is_lighter(scratch: Records, place: int, other: int) -> bool:
    """Return whether one entry is lighter than another, ties by key."""
    one, two = scratch[place]["weight"], scratch[other]["weight"]
    return bool(one < two or (one == two and scratch[place]["key"] < scratch[other]["key"]))


@helper
def keep_heaviest(batch: WeightedRecords, start: int, end: int, scratch: Records) -> int:
    """Copy the heaviest relations of a record with a weight above 0, as many as fit; return how many.

    Records are rarely too long, so a scan for the lightest entry is fast enough.
    """
    size, width = 0, len(scratch)
    lightest = 0
    for at in range(start, end):
        key, weight = batch.related[at], batch.weights[at]
        if not weight > 0:
            continue
        if size < width:
            place = size
            size += 1
        else:
            held = scratch[lightest]["weight"]
            if weight < held or (weight == held and key < scratch[lightest]["key"]):
                continue
            place = lightest
        scratch[place]["key"], scratch[place]["weight"] = key, weight
        if size == width:
            lightest = 0
            for other in range(1, width):
                if is_lighter(scratch, other, lightest):
                    lightest = other
    return size


@helper
def write(related: KeyTable, records: RecordTable, slot: int, at_ms: int, size: int, noted: Numbers) -> None:
    """Replace the relations of a slot's item by the first `size` entries in `scratch`.

    A relation that stays keeps its column, so only relations that come or go change a list. A list that has dropped
    entries is the exception: a relation that stays may become strong enough to be listed, or too weak.
    """
    entries, lists, width = related.entries, records.postings.lists, records.related.shape[1]
    columns, weights = records.related[slot], records.weights[slot]
    scratch = records.scratch
    half_life_ms, bits, key = records.bounds.half_life_ms, records.bounds.bits, key_of(records.newest, slot)
    # `mark` finds the column of a relation: column + 1 in the old record, negative as soon as the new one has it too.
    for column in range(width):
        if weights[column] > 0:
            entries[columns[column]]["mark"] = column + 1
            scratch[column]["before"] = 0.0
            if lists[columns[column]]["dropped"] != NONE_DROPPED:
                scratch[column]["before"] = strength_of(
                    weights[column], records.newest.slots[slot]["at_ms"], half_life_ms
                )
    for at in range(size):
        number = retain(related, scratch[at]["key"])
        scratch[at]["number"] = number
        # The relation stays. Its new weight waits in `scratch` for the new time of the record: a strength needs both.
        if entries[number]["mark"] > 0:
            release(related, number)
            entries[number]["mark"] = -entries[number]["mark"]
    for column in range(width):
        if weights[column] > 0 and entries[columns[column]]["mark"] > 0:
            entries[columns[column]]["mark"] = 0
            leave(related, records, slot, column, noted)
    renew(records.newest, slot, at_ms)
    free = 0
    for at in range(size):
        number = scratch[at]["number"]
        column = -entries[number]["mark"] - 1
        entries[number]["mark"] = 0
        weight = scratch[at]["weight"]
        # The list has an entry if its strength is greater than every one dropped. So the old and the new strength
        # decide whether the list changes. A list that dropped nothing has all entries, whatever their strength.
        strength = strength_of(weight, at_ms, half_life_ms) if lists[number]["dropped"] != NONE_DROPPED else 0.0
        listed = is_listed(records.postings, number, strength, key)
        was_listed = False
        if column >= 0:
            was_listed = is_listed(records.postings, number, scratch[column]["before"], key)
            lists[number]["is_sorted"] = 0
        else:
            # A column with weight 0 is free. A column that stays has its old weight until its turn, which is above 0.
            while weights[free] > 0:
                free += 1
            column = free
            columns[column] = number
            lists[number]["records"] += 1
            if lists[number]["records"] == 1:
                note(records, noted, scratch[at]["key"], number, APPEARED)
        weights[column] = weight
        if listed and not was_listed:
            enlist(records, number, slot << bits | column)
        elif was_listed and not listed:
            unlist(records, number, slot << bits | column)


@helper
def is_earlier(records: RecordTable, slot: int, at_ms: int, total: float) -> bool:
    """Return whether a record to store is older than the one in the slot, or of the same time and lighter."""
    held_ms = records.newest.slots[slot]["at_ms"]
    return bool(at_ms < held_ms or (at_ms == held_ms and total < records.owners[slot]["total"]))


@helper
def write_owner(records: RecordTable, slot: int, at_ms: int, total: float) -> None:
    """Write the total and the time of a record to its owner."""
    owner, half_life_ms = records.owners[slot], records.bounds.half_life_ms
    halvings = np.floor(at_ms / half_life_ms)
    owner["total"], owner["halvings"] = total, np.int64(halvings)
    owner["growth"] = 2.0 ** ((at_ms - halvings * half_life_ms) / half_life_ms)


@helper
def lacks_room(numbers: KeyTable, related: KeyTable, records: RecordTable, noted: Numbers) -> bool:
    """Return whether a record of the greatest width may not fit into the numbers, slots, lists or changes."""
    width, index, table = records.related.shape[1], records.postings, records.newest.table
    # A record makes at most 3 · width changes: those of the record that it evicts, those that end and those that begin.
    return bool(
        is_full(numbers, width + 1)
        or is_full(related, width + 1)
        or (is_full(table, 1) and table.sizes[HELD] < records.bounds.capacity)
        or index.blocks[TOP] + width * records.bounds.room > len(index.values)
        or (len(records.changes) > 0 and noted[0] + 3 * width > len(records.changes))
    )


@kernel(types.int64(KEY_TABLE, KEY_TABLE, RECORDS, BATCH, types.int64, types.int32[::1]), allocates=False)
def learn_records(
    numbers: KeyTable, related: KeyTable, records: RecordTable, batch: WeightedRecords, first: int, noted: Numbers
) -> int:
    """Store the records from `first` on. Return how many records are done, fewer than all if room runs out.

    `noted` (1,) counts the changes that are recorded.
    """
    newest = records.newest
    for record in range(first, len(batch.keys)):
        if lacks_room(numbers, related, records, noted):
            return record
        key, at_ms, total = batch.keys[record], batch.at_ms[record], batch.totals[record]
        slot = find(newest.table, key)
        # A record without weight deletes that of the item.
        if not total > 0:
            if slot != EMPTY:
                forget(numbers, related, records, slot, noted)
            continue
        if slot == EMPTY:
            # A full table gives the slot of its oldest record to a newer one.
            if newest.table.sizes[HELD] == records.bounds.capacity:
                oldest = newest.slots[0]["heap"]
                if not precedes(newest, oldest, at_ms, key):
                    continue
                forget(numbers, related, records, oldest, noted)
            slot = take(newest, key, at_ms)
            records.owners[slot]["item"] = retain(numbers, key)
        elif is_earlier(records, slot, at_ms, total):
            continue
        write_owner(records, slot, at_ms, total)
        size = keep_heaviest(batch, batch.starts[record], batch.starts[record + 1], records.scratch)
        write(related, records, slot, at_ms, size, noted)
    return len(batch.keys)


def record_table(related: int, slots: int, width: int, bounds: Bounds, changes: int) -> RecordTable:
    """Return an empty table for related numbers below `related`, with room for `changes` changes."""
    return RecordTable(
        newest(slots),
        np.zeros(slots, dtype=OWNER),
        np.zeros((slots, width), dtype=np.int32),
        np.zeros((slots, width)),
        no_postings(related, width * bounds.room),
        np.zeros((changes, 3), dtype=np.uint64),
        bounds,
        np.zeros(width, dtype=RELATION),
        np.zeros(bounds.room),
    )
