"""Stores co-occurrence records in their table: the newest record of each item, and the lists of its related keys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.cooccurrence_table import (
    APPEARED,
    RECORDS,
    VANISHED,
    Records,
    RecordTable,
    Sums,
    add_posting,
    remove_posting,
    strength_of,
)
from inference.kernels.keytable import EMPTY, HELD, KEY_TABLE, KeyTable, Numbers, find, is_full, release, retain
from inference.kernels.newest import drop, key_of, precedes, renew, take
from inference.kernels.postings import NONE_DROPPED, TOP, clear, is_listed
from inference.types import Keys


class WeightedRecords(NamedTuple):
    """Records to store: record i has `related[starts[i]:starts[i + 1]]` with the `weights` at the same places."""

    keys: Keys
    at_ms: npt.NDArray[np.int64]
    totals: Sums
    starts: npt.NDArray[np.int64]
    related: Keys
    weights: Sums


_sums, _keys, _times = types.float64[::1], types.uint64[::1], types.int64[::1]
BATCH = types.NamedTuple((_keys, _times, _sums, _times, _keys, _sums), WeightedRecords)


@helper
def append_change(records: RecordTable, change_count: Numbers, key: np.uint64, number: int, change: int) -> None:
    """Append to `records.changes`, if they are tracked, that a related key appeared or vanished."""
    if len(records.changes) > 0:
        records.changes[change_count[0], 0] = key
        records.changes[change_count[0], 1] = np.uint64(number)
        records.changes[change_count[0], 2] = np.uint64(change)
        change_count[0] += 1


@helper
def remove_relation(related: KeyTable, records: RecordTable, slot: int, column: int, change_count: Numbers) -> None:
    """Remove a relation. With the last relation to a key its list and its number go."""
    number = records.related[slot, column]
    held = records.postings.lists[number]
    remove_posting(records, number, slot << records.bounds.bits | column)
    records.weights[slot, column] = 0.0
    held["records"] = held["records"] - 1
    if held["records"] == 0:
        clear(records.postings, number)
        append_change(records, change_count, related.entries[number]["key"], number, VANISHED)
    release(related, number)


@helper
def remove_record(numbers: KeyTable, related: KeyTable, records: RecordTable, slot: int, change_count: Numbers) -> None:
    """Remove a record with its relations."""
    for column in range(records.related.shape[1]):
        if records.weights[slot, column] > 0:
            remove_relation(related, records, slot, column, change_count)
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
        # While there is room, entries are appended. Then a heavier one replaces the lightest, which is found again.
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
def replace_relations(
    related: KeyTable, records: RecordTable, slot: int, at_ms: int, size: int, change_count: Numbers
) -> None:
    """Replace the relations of a slot's item by the first `size` entries in `scratch`.

    A relation that stays keeps its column, so only relations that come or go change a list. A list that has dropped
    entries is the exception: a relation that stays may become strong enough to be listed, or too weak.
    """
    entries, lists, width = related.entries, records.postings.lists, records.related.shape[1]
    columns, weights = records.related[slot], records.weights[slot]
    scratch = records.scratch
    half_life_ms, bits, key = records.bounds.half_life_ms, records.bounds.bits, key_of(records.newest, slot)
    # `mark`, a field of the related key's entry, compares old and new relations in one pass each. It is column + 1 for
    # a relation of the old record, negative as soon as the new record has it too, and 0 again at the end.
    for column in range(width):
        if weights[column] > 0:
            entries[columns[column]]["mark"] = column + 1
            scratch[column]["old_strength"] = 0.0
            if lists[columns[column]]["dropped"] != NONE_DROPPED:
                scratch[column]["old_strength"] = strength_of(
                    weights[column], records.newest.slots[slot]["at_ms"], half_life_ms
                )
    for at in range(size):
        # New keys are retained before old ones are released, so a key of both records keeps its number and its list.
        number = retain(related, scratch[at]["key"])
        scratch[at]["number"] = number
        # The relation stays. Its new weight waits in `scratch` for the new time of the record: a strength needs both.
        if entries[number]["mark"] > 0:
            release(related, number)
            entries[number]["mark"] = -entries[number]["mark"]
    for column in range(width):
        if weights[column] > 0 and entries[columns[column]]["mark"] > 0:
            entries[columns[column]]["mark"] = 0
            remove_relation(related, records, slot, column, change_count)
    renew(records.newest, slot, at_ms)
    free = 0
    for at in range(size):
        number = scratch[at]["number"]
        # The column of a relation that stays, -1 for a new one, whose mark is 0.
        column = -entries[number]["mark"] - 1
        entries[number]["mark"] = 0
        weight = scratch[at]["weight"]
        # The list has an entry if its strength is greater than every one dropped. So the old and the new strength
        # decide whether the list changes. A list that dropped nothing has all entries, whatever their strength.
        strength = strength_of(weight, at_ms, half_life_ms) if lists[number]["dropped"] != NONE_DROPPED else 0.0
        listed = is_listed(records.postings, number, strength, key)
        was_listed = False
        if column >= 0:
            was_listed = is_listed(records.postings, number, scratch[column]["old_strength"], key)
            lists[number]["is_sorted"] = 0
        else:
            # A column with weight 0 is free. A column that stays has its old weight until its turn, which is above 0.
            # There is a free column: at most `width` relations each take one.
            while weights[free] > 0:
                free += 1
            column = free
            columns[column] = number
            lists[number]["records"] += 1
            if lists[number]["records"] == 1:
                append_change(records, change_count, scratch[at]["key"], number, APPEARED)
        weights[column] = weight
        if listed and not was_listed:
            add_posting(records, number, slot << bits | column)
        elif was_listed and not listed:
            remove_posting(records, number, slot << bits | column)


@helper
def is_earlier(records: RecordTable, slot: int, at_ms: int, total: float) -> bool:
    """Return whether a record to store is older than the one in the slot, or of the same time and lighter."""
    held_ms = records.newest.slots[slot]["at_ms"]
    return bool(at_ms < held_ms or (at_ms == held_ms and total < records.owners[slot]["total"]))


@helper
def write_owner(records: RecordTable, slot: int, at_ms: int, total: float) -> None:
    """Write the total and the time of a record to its owner."""
    owner, half_life_ms = records.owners[slot], records.bounds.half_life_ms
    # The factor 2^(time / half-life) would overflow. Its whole exponent is kept apart, so that `decay` only subtracts
    # and looks up.
    halvings = np.floor(at_ms / half_life_ms)
    owner["total"], owner["halvings"] = total, np.int64(halvings)
    owner["growth"] = 2.0 ** ((at_ms - halvings * half_life_ms) / half_life_ms)


@helper
def needs_growth(numbers: KeyTable, related: KeyTable, records: RecordTable, change_count: Numbers) -> bool:
    """Return whether a record of the greatest width may not fit into the numbers, slots, lists or changes."""
    width, index, table = records.related.shape[1], records.postings, records.newest.table
    # A record makes at most 3 · width changes: those of the record that it evicts, those that end and those that begin.
    return bool(
        # One key more than the relations: that of the item itself, which may be in the same table. Each relation may
        # move its list to a block of the greatest size.
        is_full(numbers, width + 1)
        or is_full(related, width + 1)
        or (is_full(table, 1) and table.sizes[HELD] < records.bounds.capacity)
        or index.blocks[TOP] + width * records.bounds.block > len(index.values)
        or (len(records.changes) > 0 and change_count[0] + 3 * width > len(records.changes))
    )


@kernel(types.int64(KEY_TABLE, KEY_TABLE, RECORDS, BATCH, types.int64, types.int32[::1]), allocates=False)
def learn_records(
    numbers: KeyTable,
    related: KeyTable,
    records: RecordTable,
    batch: WeightedRecords,
    first: int,
    change_count: Numbers,
) -> int:
    """Store the records from `first` on. Return how many are done, fewer than all if the arrays must grow first.

    `change_count` (1,) counts the changes that are recorded.
    """
    newest = records.newest
    for record in range(first, len(batch.keys)):
        if needs_growth(numbers, related, records, change_count):
            return record
        key, at_ms, total = batch.keys[record], batch.at_ms[record], batch.totals[record]
        slot = find(newest.table, key)
        # A record without weight deletes that of the item.
        if not total > 0:
            if slot != EMPTY:
                remove_record(numbers, related, records, slot, change_count)
            continue
        if slot == EMPTY:
            # A full table gives the slot of its oldest record to a newer one.
            if newest.table.sizes[HELD] == records.bounds.capacity:
                oldest = newest.slots[0]["heap"]
                if not precedes(newest, oldest, at_ms, key):
                    continue
                remove_record(numbers, related, records, oldest, change_count)
            slot = take(newest, key, at_ms)
            records.owners[slot]["item"] = retain(numbers, key)
        elif is_earlier(records, slot, at_ms, total):
            continue
        write_owner(records, slot, at_ms, total)
        size = keep_heaviest(batch, batch.starts[record], batch.starts[record + 1], records.scratch)
        replace_relations(related, records, slot, at_ms, size, change_count)
    return len(batch.keys)
