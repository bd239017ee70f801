"""Table of the newest sessions, with the sessions of each item in the order of time.

This is the index of VMIS-kNN, updated one session at a time (`inference/retrieval/sessions.py`). Table and lists are
bounded. Their content depends on the records alone, not on the order in which records arrive.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import EMPTY, HELD, KEY_TABLE, KeyTable, Numbers, find, is_full, release, retain
from inference.kernels.newest import NEWEST, Newest, drop, key_of, newest, precedes, renew, take
from inference.kernels.postings import POSTINGS, TOP, Postings, append, clear, drop_first, is_listed, no_postings
from inference.types import Keys

OLD, NEW = 1, 2
"""Marks of items: in the older state of a session, in its newer state."""


class Bounds(NamedTuple):
    """Limits of the table, see the constants of `inference/retrieval/sessions.py`.

    A list longer than `longest` is cut to its newest `sample` sessions; `block` is the block size of the longest list.
    Of one shopper at most `each` sessions count, and an item needs the sessions of `min_shoppers`.
    """

    capacity: int
    sample: int
    longest: int
    block: int
    each: int
    min_shoppers: int


class SessionTable(NamedTuple):
    """Sessions by slot.

    Attributes:
        newest: the slots, by the keys of sessions.
        items: the numbers of the items, oldest first, int32 (slots, width).
        lengths: the number of items of each session, int32 (slots,).
        shoppers: 16 bits of a hash of each session's shopper, int32 (slots,).
        postings: for each item the slots of its newest sessions, oldest first.
        bounds: the limits.
        fresh: scratch memory for the items of one record, int32 (width,).
    """

    newest: Newest
    items: Numbers
    lengths: Numbers
    shoppers: Numbers
    postings: Postings
    bounds: Bounds
    fresh: Numbers


class SessionRecords(NamedTuple):
    """Sessions to store: record i has the items `items[starts[i]:starts[i + 1]]`, oldest first."""

    keys: Keys
    at_ms: npt.NDArray[np.int64]
    shoppers: Numbers
    starts: npt.NDArray[np.int64]
    items: Keys


_BOUNDS = types.NamedUniTuple(types.int64, 6, Bounds)
_numbers = types.int32[::1]
SESSIONS = types.NamedTuple(
    (NEWEST, types.int32[:, ::1], _numbers, _numbers, POSTINGS, _BOUNDS, _numbers), SessionTable
)
RECORDS = types.NamedTuple(
    (types.uint64[::1], types.int64[::1], _numbers, types.int64[::1], types.uint64[::1]), SessionRecords
)


@helper
def entries_before(sessions: SessionTable, item: int, at_ms: int, key: np.uint64) -> int:
    """Return how many sessions in an item's list are older than (at_ms, key), by bisection of the sorted list."""
    newest, values = sessions.newest, sessions.postings.values
    start = sessions.postings.lists[item]["start"]
    low, high = 0, int(sessions.postings.lists[item]["length"])
    while low < high:
        middle = (low + high) // 2
        if precedes(newest, values[start + middle], at_ms, key):
            low = middle + 1
        else:
            high = middle
    return low


@helper
def remove_posting(sessions: SessionTable, item: int, slot: int) -> None:
    """Remove a session from the list of one of its items, if it is listed."""
    newest, values = sessions.newest, sessions.postings.values
    held = sessions.postings.lists[item]
    start, length = held["start"], held["length"]
    place = entries_before(sessions, item, newest.slots[slot]["at_ms"], key_of(newest, slot))
    if place == length or values[start + place] != slot:
        return
    for at in range(start + place, start + length - 1):
        values[at] = values[at + 1]
    held["length"] = length - 1


@helper
def add_posting(sessions: SessionTable, item: int, slot: int) -> None:
    """Insert a session into the list of one of its items, unless the list has dropped newer sessions."""
    newest, index, bounds = sessions.newest, sessions.postings, sessions.bounds
    at_ms, key = newest.slots[slot]["at_ms"], key_of(newest, slot)
    # A session older than a dropped one stays out. Otherwise the list would depend on the order of arrival.
    if not is_listed(index, item, np.float64(at_ms), key):
        return
    place = entries_before(sessions, item, at_ms, key)
    append(index, item, slot)
    # `append` may have moved the list, so its start is read now.
    held = index.lists[item]
    start, length = held["start"], held["length"]
    for at in range(start + length - 1, start + place, -1):
        index.values[at] = index.values[at - 1]
    index.values[start + place] = slot
    if length > bounds.longest:
        # The cut leaves slack, so that not every insertion moves the list.
        few = length - bounds.sample
        last = index.values[start + few - 1]
        drop_first(index, item, few, np.float64(newest.slots[last]["at_ms"]), key_of(newest, last))


@helper
def leave_item(numbers: KeyTable, sessions: SessionTable, item: int) -> None:
    """Decrease the number of sessions that have an item. The last one clears the item's list."""
    held = sessions.postings.lists[item]
    held["records"] = held["records"] - 1
    if held["records"] == 0:
        clear(sessions.postings, item)
    release(numbers, item)


@helper
def remove_session(numbers: KeyTable, sessions: SessionTable, slot: int) -> None:
    """Remove a session from the table and from the lists of its items."""
    for at in range(sessions.lengths[slot]):
        remove_posting(sessions, sessions.items[slot, at], slot)
        leave_item(numbers, sessions, sessions.items[slot, at])
    sessions.lengths[slot] = 0
    drop(sessions.newest, slot)


@helper
def replace_items(numbers: KeyTable, sessions: SessionTable, slot: int, records: SessionRecords, record: int) -> None:
    """Replace the session in a slot by a record.

    Lists are sorted by time. So the session leaves its lists before its time changes, and joins those of its items
    afterwards.
    """
    entries, old, fresh = numbers.entries, sessions.items[slot], sessions.fresh
    end = records.starts[record + 1]
    # The marks compare old and new items in one pass each. An item of both states keeps the reference it has, and an
    # item that the record has twice counts once.
    for at in range(sessions.lengths[slot]):
        remove_posting(sessions, old[at], slot)
        entries[old[at]]["mark"] = OLD
    count = 0
    for at in range(max(records.starts[record], end - len(fresh)), end):
        item = retain(numbers, records.items[at])
        if entries[item]["mark"] == NEW:
            release(numbers, item)
            continue
        # `retain` took a second reference for an item that the session has already. It is given back.
        if entries[item]["mark"] == OLD:
            release(numbers, item)
        else:
            sessions.postings.lists[item]["records"] += 1
        entries[item]["mark"] = NEW
        fresh[count] = item
        count += 1
    for at in range(sessions.lengths[slot]):
        if entries[old[at]]["mark"] == OLD:
            entries[old[at]]["mark"] = 0
            leave_item(numbers, sessions, old[at])
    renew(sessions.newest, slot, records.at_ms[record])
    for at in range(count):
        entries[fresh[at]]["mark"] = 0
        old[at] = fresh[at]
        add_posting(sessions, fresh[at], slot)
    sessions.lengths[slot] = count


@helper
def needs_growth(numbers: KeyTable, sessions: SessionTable) -> bool:
    """Return whether a session of the greatest length may not fit into the numbers, the slots or the lists."""
    width, index, table = sessions.items.shape[1], sessions.postings, sessions.newest.table
    return bool(
        is_full(numbers, width)
        or (is_full(table, 1) and table.sizes[HELD] < sessions.bounds.capacity)
        or index.blocks[TOP] + width * sessions.bounds.block > len(index.values)
    )


@kernel(types.int64(KEY_TABLE, SESSIONS, RECORDS, types.int64), allocates=False)
def learn_sessions(numbers: KeyTable, sessions: SessionTable, records: SessionRecords, first: int) -> int:
    """Store the records from `first` on. Return how many are done, fewer than all if the arrays must grow first."""
    newest, width = sessions.newest, sessions.items.shape[1]
    for record in range(first, len(records.keys)):
        if needs_growth(numbers, sessions):
            return record
        key, at_ms, end = records.keys[record], records.at_ms[record], records.starts[record + 1]
        start = max(records.starts[record], end - width)
        slot = find(newest.table, key)
        # A record without items deletes the session.
        if start == end:
            if slot != EMPTY:
                remove_session(numbers, sessions, slot)
            continue
        if slot == EMPTY:
            # A full table gives the slot of its oldest session to a newer one.
            if newest.table.sizes[HELD] == sessions.bounds.capacity:
                oldest = newest.slots[0]["heap"]
                if not precedes(newest, oldest, at_ms, key):
                    continue
                remove_session(numbers, sessions, oldest)
            slot = take(newest, key, at_ms)
        else:
            # Records may arrive in any order: an older state of the session, or a shorter one of the same time, is
            # skipped.
            held_ms = newest.slots[slot]["at_ms"]
            if at_ms < held_ms or (at_ms == held_ms and end - start < sessions.lengths[slot]):
                continue
        sessions.shoppers[slot] = records.shoppers[record]
        replace_items(numbers, sessions, slot, records, record)
    return len(records.keys)


def session_table(capacity_of_numbers: int, slots: int, width: int, bounds: Bounds) -> SessionTable:
    """Return an empty table."""
    return SessionTable(
        newest(slots),
        np.zeros((slots, width), dtype=np.int32),
        np.zeros(slots, dtype=np.int32),
        np.zeros(slots, dtype=np.int32),
        no_postings(capacity_of_numbers, width * bounds.block),
        bounds,
        np.zeros(width, dtype=np.int32),
    )
