"""The newest records of a stream by key, in a fixed number of slots. A new record replaces the oldest one.

The keys with a slot are the newest by (time, key). So they depend only on the newest time of each key, not on the order
in which records arrive. A binary heap gives the oldest record.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper
from inference.kernels.keytable import HELD, KEY_TABLE, KeyTable, copy_keys, key_table, release, retain

SLOT = np.dtype([("at_ms", "<i8"), ("heap", "<i4"), ("heap_place", "<i4")], align=True)


class Newest(NamedTuple):
    """Slots of the newest records.

    Attributes:
        table: the key of each slot; a slot in use has one reference.
        slots: dtype SLOT (slots,). Each slot has the time of its record and its place in the heap. The column
            `heap` is a binary heap of the slots in use: each record is older than its two children.
    """

    table: KeyTable
    slots: npt.NDArray[np.void]


NEWEST = types.NamedTuple((KEY_TABLE, numba.from_dtype(SLOT)[::1]), Newest)


def newest(slots: int) -> Newest:
    """Return an empty table with `slots` slots, a power of two."""
    return Newest(key_table(slots), np.zeros(slots, dtype=SLOT))


@helper
def key_of(records: Newest, slot: int) -> np.uint64:
    """Return the key of a record."""
    return records.table.entries[slot]["key"]  # type: ignore[no-any-return]


@helper
def precedes(records: Newest, slot: int, at_ms: int, key: np.uint64) -> bool:
    """Return whether the record in a slot is older than (at_ms, key)."""
    held_ms = records.slots[slot]["at_ms"]
    return bool(held_ms < at_ms or (held_ms == at_ms and key_of(records, slot) < key))


@helper
def is_older(records: Newest, slot: int, other: int) -> bool:
    """Return whether the record in a slot is older than the one in another slot, ties by key."""
    at_ms, other_ms = records.slots[slot]["at_ms"], records.slots[other]["at_ms"]
    return bool(at_ms < other_ms or (at_ms == other_ms and key_of(records, slot) < key_of(records, other)))


@helper
def rise(records: Newest, place: int) -> None:
    """Move the entry at a place of the heap up while it is older than its parent."""
    slots = records.slots
    slot = slots[place]["heap"]
    while place > 0:
        parent = (place - 1) // 2
        if not is_older(records, slot, slots[parent]["heap"]):
            break
        moved = slots[parent]["heap"]
        slots[place]["heap"], slots[moved]["heap_place"] = moved, place
        place = parent
    slots[place]["heap"], slots[slot]["heap_place"] = slot, place


@helper
def sink(records: Newest, place: int, size: int) -> None:
    """Move the entry at a place of the heap down while a child is older."""
    slots = records.slots
    slot = slots[place]["heap"]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and is_older(records, slots[child + 1]["heap"], slots[child]["heap"]):
            child += 1
        moved = slots[child]["heap"]
        if not is_older(records, moved, slot):
            break
        slots[place]["heap"], slots[moved]["heap_place"] = moved, place
        place = child
    slots[place]["heap"], slots[slot]["heap_place"] = slot, place


@helper
def take(records: Newest, key: np.uint64, at_ms: int) -> int:
    """Assign a slot to a key that has none, and return it. There must be a free slot."""
    # Read before `retain`, which counts the new key: the heap's next free place is the number of records before.
    size = records.table.sizes[HELD]
    slot = retain(records.table, key)
    records.slots[slot]["at_ms"] = at_ms
    # The record becomes the last entry of the heap.
    records.slots[size]["heap"], records.slots[slot]["heap_place"] = slot, size
    rise(records, size)
    return slot


@helper
def renew(records: Newest, slot: int, at_ms: int) -> None:
    """Set the time of a record to a later or equal one."""
    # A record that gets newer can only sink: its parent stays older.
    records.slots[slot]["at_ms"] = at_ms
    sink(records, records.slots[slot]["heap_place"], records.table.sizes[HELD])


@helper
def drop(records: Newest, slot: int) -> None:
    """Remove a record and free its slot."""
    slots = records.slots
    place, last = slots[slot]["heap_place"], records.table.sizes[HELD] - 1
    moved = slots[last]["heap"]
    release(records.table, slot)
    if moved != slot:
        # The last entry of the heap fills the gap. It may be older than the gap's parent or newer than its children.
        slots[place]["heap"], slots[moved]["heap_place"] = moved, place
        rise(records, place)
        sink(records, slots[moved]["heap_place"], last)


def grown(records: Newest) -> Newest:
    """Return a copy with twice the slots."""
    slots = len(records.slots)
    larger = newest(2 * slots)
    copy_keys(records.table, larger.table)
    larger.slots[:slots] = records.slots
    return larger
