"""Records that relate an item to others by weights, see `inference/retrieval/cooccurrence.py`: learning and voting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import EMPTY, HELD, KEY_TABLE, KeyTable, Numbers, find, is_full, release, retain
from inference.kernels.newest import NEWEST, Newest, drop, newest, renew, take
from inference.kernels.postings import (
    NONE_DROPPED,
    POSTINGS,
    TOP,
    Postings,
    append,
    clear,
    drop_first,
    is_listed,
    postings,
)
from inference.kernels.votes import (
    EVIDENCE,
    QUERIES,
    RESULTS,
    VOTES,
    Results,
    Votes,
    add_vote,
    items_at_hand,
    write_hits,
)
from inference.queries import Queries
from inference.types import Keys

Sums = npt.NDArray[np.float64]

LEAST = 1e-300
MOST_HALVINGS = 64.0
"""Beyond so many half-lives a weight is as good as nothing, and a power of two must not overflow."""
ONE_ACTION = 1.0
APPEARED, VANISHED = 1, 0


class Bounds(NamedTuple):
    """How much is kept and read: see the constants of `inference/retrieval/cooccurrence.py`."""

    capacity: int
    postings: int
    longest: int
    room: int
    bits: int
    half_life_ms: float


class Scratch(NamedTuple):
    """Memory for one record: what is kept of it, (width,), and the strengths of one list, (room,)."""

    keys: Keys
    weights: Sums
    before: Sums
    numbers: Numbers
    strengths: Sums


class RecordTable(NamedTuple):
    """Records by slot.

    Attributes:
        newest: the slots, by the keys of items.
        items: the number of the item whose record it is, int32 (slots,).
        totals: the weight of everything that made the record, float64 (slots,).
        related: the numbers of what the item is related to, int32 (slots, width); anything where the weight is 0.
        weights: as of the record's time, float64 (slots, width).
        index: for each related number the strongest records that have it: entries slot << bits | column.
        changes: the key and the number of what a first record is related to, or none any more, and which of both,
            uint64 (n, 3), in their order; empty if nobody needs to know.
        bounds: what limits it all.
        scratch: memory for whoever reads or writes.
    """

    newest: Newest
    items: Numbers
    totals: Sums
    related: Numbers
    weights: Sums
    index: Postings
    changes: npt.NDArray[np.uint64]
    bounds: Bounds
    scratch: Scratch


class Rule(NamedTuple):
    """How transitions count: from the newest `most` items at hand, what came before an item `backwards` times."""

    most: int
    backwards: float


class WeightedRecords(NamedTuple):
    """Records that come in: record i has `related[starts[i]:starts[i + 1]]` with the `weights` beside them."""

    keys: Keys
    at_ms: npt.NDArray[np.int64]
    totals: Sums
    starts: npt.NDArray[np.int64]
    related: Keys
    weights: Sums


_sums, _numbers, _keys = types.float64[::1], types.int32[::1], types.uint64[::1]
_times = types.int64[::1]
BOUNDS = types.NamedTuple((types.int64,) * 5 + (types.float64,), Bounds)
SCRATCH = types.NamedTuple((_keys, _sums, _sums, _numbers, _sums), Scratch)
RECORDS = types.NamedTuple(
    (
        NEWEST,
        _numbers,
        _sums,
        types.int32[:, ::1],
        types.float64[:, ::1],
        POSTINGS,
        types.uint64[:, ::1],
        BOUNDS,
        SCRATCH,
    ),
    RecordTable,
)
RULE = types.NamedTuple((types.int64, types.float64), Rule)
BATCH = types.NamedTuple((_keys, _times, _sums, _times, _keys, _sums), WeightedRecords)


@helper
def strength_of(weight: float, at_ms: int, half_life_ms: float) -> float:
    """Return the logarithm of a weight brought to a time that is the same for all, so that strengths compare."""
    return float(np.log2(max(weight, LEAST)) + at_ms / half_life_ms)


@helper
def decay(at_ms: int, to_ms: int, half_life_ms: float) -> float:
    """Return the factor that brings a weight from one time to another, if need be an earlier one."""
    halvings = (at_ms - to_ms) / half_life_ms
    return float(np.exp2(min(max(halvings, -MOST_HALVINGS), MOST_HALVINGS)))


@helper
def sort_list(records: RecordTable, number: int) -> None:
    """Sort a list by strength, ties by the record's key, unless it is sorted. Their strengths stay in `scratch`."""
    held = records.index.lists[number]
    if held["is_sorted"]:
        return
    start, length, bits = held["start"], held["length"], records.bounds.bits
    values, keys, strengths = records.index.values, records.newest.table.keys, records.scratch.strengths
    for at in range(length):
        value = values[start + at]
        slot = value >> bits
        weight = records.weights[slot, value - (slot << bits)]
        strength = strength_of(weight, records.newest.at_ms[slot], records.bounds.half_life_ms)
        place = at
        while place > 0:
            other = strengths[place - 1]
            if other < strength or (other == strength and keys[values[start + place - 1] >> bits] < keys[slot]):
                break
            strengths[place], values[start + place] = other, values[start + place - 1]
            place -= 1
        strengths[place], values[start + place] = strength, value
    held["is_sorted"] = 1


@helper
def enlist(records: RecordTable, number: int, value: int) -> None:
    """Add a place to a list; a list that grows too long loses its weakest."""
    index, bounds = records.index, records.bounds
    append(index, number, value)
    held = index.lists[number]
    held["is_sorted"] = 0
    if held["length"] > bounds.longest:
        sort_list(records, number)
        few = held["length"] - bounds.postings
        last = index.values[held["start"] + few - 1]
        drop_first(index, number, few, records.scratch.strengths[few - 1], records.newest.table.keys[last >> bounds.bits])


@helper
def unlist(records: RecordTable, number: int, value: int) -> None:
    """Take a place out of a list, if it is there."""
    held, values = records.index.lists[number], records.index.values
    start, last = held["start"], held["start"] + held["length"] - 1
    for at in range(start, last + 1):
        if values[at] == value:
            values[at] = values[last]
            held["length"] = last - start
            held["is_sorted"] = 0
            return


@helper
def note(records: RecordTable, noted: Numbers, key: np.uint64, number: int, change: int) -> None:
    """Note that a key appeared or vanished."""
    if len(records.changes) > 0:
        records.changes[noted[0], 0] = key
        records.changes[noted[0], 1] = np.uint64(number)
        records.changes[noted[0], 2] = np.uint64(change)
        noted[0] += 1


@helper
def leave(related: KeyTable, records: RecordTable, slot: int, column: int, noted: Numbers) -> None:
    """End a relation."""
    number = records.related[slot, column]
    held = records.index.lists[number]
    unlist(records, number, slot << records.bounds.bits | column)
    records.weights[slot, column] = 0.0
    held["records"] = held["records"] - 1
    if held["records"] == 0:
        clear(records.index, number)
        note(records, noted, related.keys[number], number, VANISHED)
    release(related, number)


@helper
def forget(numbers: KeyTable, related: KeyTable, records: RecordTable, slot: int, noted: Numbers) -> None:
    """Drop a record."""
    for column in range(records.related.shape[1]):
        if records.weights[slot, column] > 0:
            leave(related, records, slot, column, noted)
    release(numbers, records.items[slot])
    drop(records.newest, slot)


@helper
def is_lighter(scratch: Scratch, place: int, other: int) -> bool:
    """Tell whether one of the heaviest is lighter than another, ties by key."""
    one, two = scratch.weights[place], scratch.weights[other]
    return bool(one < two or (one == two and scratch.keys[place] < scratch.keys[other]))


@helper
def keep_heaviest(batch: WeightedRecords, start: int, end: int, scratch: Scratch) -> int:
    """Copy the heaviest that fit of a record's weights above 0; return how many. Records are rarely too long."""
    size, width = 0, len(scratch.keys)
    lightest = 0
    for at in range(start, end):
        key, weight = batch.related[at], batch.weights[at]
        if not weight > 0:
            continue
        if size < width:
            place = size
            size += 1
        else:
            held = scratch.weights[lightest]
            if weight < held or (weight == held and key < scratch.keys[lightest]):
                continue
            place = lightest
        scratch.keys[place], scratch.weights[place] = key, weight
        if size == width:
            lightest = 0
            for other in range(1, width):
                if is_lighter(scratch, other, lightest):
                    lightest = other
    return size


@helper
def write(related: KeyTable, records: RecordTable, slot: int, at_ms: int, size: int, noted: Numbers) -> None:
    """Replace what a slot's item is related to by the first `size` entries in `scratch`.

    What stays keeps its column, so that only what comes or goes changes a list; where a list has dropped entries, what
    stays may have grown strong enough to be listed.
    """
    marks, lists, width = related.marks, records.index.lists, records.related.shape[1]
    columns, weights = records.related[slot], records.weights[slot]
    scratch, before = records.scratch, records.scratch.before
    half_life_ms, bits, key = records.bounds.half_life_ms, records.bounds.bits, records.newest.table.keys[slot]
    for column in range(width):
        if weights[column] > 0:
            marks[columns[column]] = column + 1
            before[column] = 0.0
            if lists[columns[column]]["dropped"] != NONE_DROPPED:
                before[column] = strength_of(weights[column], records.newest.at_ms[slot], half_life_ms)
    for at in range(size):
        number = retain(related, scratch.keys[at])
        scratch.numbers[at] = number
        # A column below 0: it stays. The new weight waits in `scratch`, as the column is still in a list.
        if marks[number] > 0:
            release(related, number)
            marks[number] = -marks[number]
    for column in range(width):
        if weights[column] > 0 and marks[columns[column]] > 0:
            marks[columns[column]] = 0
            leave(related, records, slot, column, noted)
    renew(records.newest, slot, at_ms)
    free = 0
    for at in range(size):
        number = scratch.numbers[at]
        column = -marks[number] - 1
        marks[number] = 0
        weight = scratch.weights[at]
        strength = strength_of(weight, at_ms, half_life_ms) if lists[number]["dropped"] != NONE_DROPPED else 0.0
        listed = is_listed(records.index, number, strength, key)
        if column >= 0:
            weights[column] = weight
            lists[number]["is_sorted"] = 0
            was_listed = is_listed(records.index, number, before[column], key)
            if was_listed and not listed:
                unlist(records, number, slot << bits | column)
            elif listed and not was_listed:
                enlist(records, number, slot << bits | column)
            continue
        # Columns that stay may still wait for their new weight, but theirs is above 0: they are not free.
        while weights[free] > 0:
            free += 1
        columns[free], weights[free] = number, weight
        lists[number]["records"] += 1
        if lists[number]["records"] == 1:
            note(records, noted, scratch.keys[at], number, APPEARED)
        if listed:
            enlist(records, number, slot << bits | free)


@helper
def lacks_room(numbers: KeyTable, related: KeyTable, records: RecordTable, noted: Numbers) -> bool:
    """Tell whether a record of the greatest width may not fit: into the numbers, the slots, the lists, the changes."""
    width, index, table = records.related.shape[1], records.index, records.newest.table
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
    """Take over the records from `first` on; return how many are taken over, fewer than all where room runs out.

    `noted` (1,) counts the changes that are noted.
    """
    newest = records.newest
    for record in range(first, len(batch.keys)):
        if lacks_room(numbers, related, records, noted):
            return record
        key, at_ms, total = batch.keys[record], batch.at_ms[record], batch.totals[record]
        slot = find(newest.table, key)
        if not total > 0:
            if slot != EMPTY:
                forget(numbers, related, records, slot, noted)
            continue
        if slot == EMPTY:
            if newest.table.sizes[HELD] == records.bounds.capacity:
                oldest = newest.heap[0]
                oldest_ms = newest.at_ms[oldest]
                if at_ms < oldest_ms or (at_ms == oldest_ms and key < newest.table.keys[oldest]):
                    continue
                forget(numbers, related, records, oldest, noted)
            slot = take(newest, key, at_ms)
            records.items[slot] = retain(numbers, key)
        elif at_ms < newest.at_ms[slot] or (at_ms == newest.at_ms[slot] and total < records.totals[slot]):
            continue
        records.totals[slot] = total
        size = keep_heaviest(batch, batch.starts[record], batch.starts[record + 1], records.scratch)
        write(related, records, slot, at_ms, size, noted)
    return len(batch.keys)


@helper
def strongest(records: RecordTable, number: int) -> int:
    """Return where the entries of a list begin that are read: of a long list the strongest, sorted to its end."""
    held = records.index.lists[number]
    if held["length"] <= records.bounds.postings:
        return int(held["start"])
    sort_list(records, number)
    return int(held["start"] + held["length"] - records.bounds.postings)


@kernel(types.void(QUERIES, KEY_TABLE, RECORDS, RULE, VOTES, RESULTS), allocates=False)
def vote_by_transitions(
    queries: Queries, numbers: KeyTable, records: RecordTable, rule: Rule, votes: Votes, results: Results
) -> None:
    """Write what goes with the newest items of each query.

    First the items that shoppers came from, then those that they went to: sums of floats depend on the order.
    """
    keys, items, slots, scales = votes.keys, votes.items, votes.slots, votes.weights
    newest, index, width, bits = records.newest, records.index, records.related.shape[1], records.bounds.bits
    for query in range(len(queries)):
        count = items_at_hand(queries[query], numbers, rule.most, keys, items)
        total = 0.0
        for at in range(count):
            total += 1.0 / (at + 1)
        touched = 0
        for at in range(count):
            slots[at] = find(newest.table, keys[at])
            if slots[at] == EMPTY:
                continue
            slot = slots[at]
            scales[at] = 1.0 / (at + 1) / total / (records.totals[slot] + ONE_ACTION)
            for column in range(width):
                weight = records.weights[slot, column]
                if weight > 0:
                    touched = add_vote(votes, touched, records.related[slot, column], rule.backwards * weight * scales[at])
        for at in range(count):
            if slots[at] == EMPTY or items[at] >= len(index.lists):
                continue
            held = index.lists[items[at]]
            to_ms = newest.at_ms[slots[at]]
            for place in range(strongest(records, items[at]), held["start"] + held["length"]):
                value = index.values[place]
                slot = value >> bits
                factor = decay(newest.at_ms[slot], to_ms, records.bounds.half_life_ms)
                weight = records.weights[slot, value - (slot << bits)] * factor * scales[at]
                touched = add_vote(votes, touched, records.items[slot], weight)
        write_hits(votes, touched, items, count, results, query)


@kernel(types.void(KEY_TABLE, RECORDS, _keys, _keys, types.float64[:, ::1], _numbers), allocates=False)
def find_partners(
    numbers: KeyTable, records: RecordTable, keys: Keys, others: Keys, weights: Sums, partners: Numbers
) -> None:
    """Write for each of `keys` (n,) which of `others` (m,) goes with it most often: the place, -1 if none does.

    Of equally frequent ones the one with the greatest key. `weights` (n, m) are 0; those of the pairs are added.
    """
    newest, marks, width = records.newest, numbers.marks, records.related.shape[1]
    for at in range(len(others)):
        number = find(numbers, others[at])
        if number != EMPTY:
            marks[number] = at + 1
    for at in range(len(keys)):
        own = find(newest.table, keys[at])
        if own == EMPTY:
            continue
        for column in range(width):
            if records.weights[own, column] > 0:
                place = marks[records.related[own, column]]
                if place > 0:
                    weights[at, place - 1] += records.weights[own, column]
    for at in range(len(others)):
        number = find(numbers, others[at])
        if number != EMPTY:
            marks[number] = 0
    for at in range(len(keys)):
        own = find(newest.table, keys[at])
        if own != EMPTY:
            marks[records.items[own]] = at + 1
    for at in range(len(others)):
        slot = find(newest.table, others[at])
        if slot == EMPTY:
            continue
        for column in range(width):
            if records.weights[slot, column] > 0:
                place = marks[records.related[slot, column]] - 1
                if place >= 0:
                    factor = decay(newest.at_ms[slot], newest.at_ms[find(newest.table, keys[place])], records.bounds.half_life_ms)
                    weights[place, at] += records.weights[slot, column] * factor
    for at in range(len(keys)):
        own = find(newest.table, keys[at])
        if own != EMPTY:
            marks[records.items[own]] = 0
        best, best_weight = -1, 0.0
        for other in range(len(others)):
            weight = weights[at, other]
            if weight > best_weight or (weight > 0 and weight == best_weight and others[other] > others[best]):
                best, best_weight = other, weight
        partners[at] = best


@kernel(types.int64(RECORDS, _numbers, _sums, _numbers, _sums, types.int64[::1]), allocates=False)
def read_lists(
    records: RecordTable, numbers: Numbers, scales: Sums, items: Numbers, weights: Sums, newest_ms: npt.NDArray[np.int64]
) -> int:
    """Read the lists of related `numbers` (n,), the weights of each brought to the newest record's time and scaled.

    Writes items and weights, list by list, in each by strength, and returns how many; `newest_ms` (1,) is that time.
    """
    index, bits = records.index, records.bounds.bits
    count = 0
    for at in range(len(numbers)):
        held = index.lists[numbers[at]]
        for place in range(strongest(records, numbers[at]), held["start"] + held["length"]):
            at_ms = records.newest.at_ms[index.values[place] >> bits]
            if count == 0 or at_ms > newest_ms[0]:
                newest_ms[0] = at_ms
            count += 1
    count = 0
    for at in range(len(numbers)):
        held = index.lists[numbers[at]]
        for place in range(strongest(records, numbers[at]), held["start"] + held["length"]):
            value = index.values[place]
            slot = value >> bits
            factor = decay(records.newest.at_ms[slot], newest_ms[0], records.bounds.half_life_ms)
            items[count] = records.items[slot]
            weights[count] = records.weights[slot, value - (slot << bits)] * factor * scales[at]
            count += 1
    return count


def record_table(related: int, slots: int, width: int, bounds: Bounds, changes: int) -> RecordTable:
    """Return a table that is still empty, over related numbers below `related`; it notes up to `changes`."""
    return RecordTable(
        newest(slots),
        np.zeros(slots, dtype=np.int32),
        np.zeros(slots),
        np.zeros((slots, width), dtype=np.int32),
        np.zeros((slots, width)),
        postings(related, width * bounds.room),
        np.zeros((changes, 3), dtype=np.uint64),
        bounds,
        Scratch(
            np.zeros(width, dtype=np.uint64),
            np.zeros(width),
            np.zeros(width),
            np.zeros(width, dtype=np.int32),
            np.zeros(bounds.room),
        ),
    )
