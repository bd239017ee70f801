"""The newest records of a stream, by key: each has a slot, a number below the capacity; the oldest gives way.

Which keys have a slot depends only on each key's newest time, not on the order in which records came: the newest by
(time, key). A binary heap keeps the oldest at hand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper
from inference.kernels.keytable import HELD, KEY_TABLE, KeyTable, Numbers, copy_keys, key_table, release, retain

Times = npt.NDArray[np.int64]


class Newest(NamedTuple):
    """Slots of records.

    Attributes:
        table: the key of each slot; a slot has one reference.
        at_ms: the time of the record in each slot, int64 (slots,).
        heap: the slots held, the oldest first, each older than its two children, int32 (slots,).
        heap_places: where each slot lies in the heap, int32 (slots,).
    """

    table: KeyTable
    at_ms: Times
    heap: Numbers
    heap_places: Numbers


NEWEST = types.NamedTuple((KEY_TABLE, types.int64[::1], types.int32[::1], types.int32[::1]), Newest)


def newest(slots: int) -> Newest:
    """Return room for records in `slots`, a power of two."""
    return Newest(
        key_table(slots),
        np.zeros(slots, dtype=np.int64),
        np.zeros(slots, dtype=np.int32),
        np.zeros(slots, dtype=np.int32),
    )


@helper
def is_older(records: Newest, slot: int, other: int) -> bool:
    """Tell whether the record in a slot is older than the one in another, ties by key."""
    at_ms, other_ms = records.at_ms[slot], records.at_ms[other]
    return bool(at_ms < other_ms or (at_ms == other_ms and records.table.keys[slot] < records.table.keys[other]))


@helper
def rise(records: Newest, place: int) -> None:
    """Move the entry at a place of the heap up while it is older than its parent."""
    heap, places = records.heap, records.heap_places
    slot = heap[place]
    while place > 0:
        parent = (place - 1) // 2
        if not is_older(records, slot, heap[parent]):
            break
        heap[place] = heap[parent]
        places[heap[place]] = place
        place = parent
    heap[place] = slot
    places[slot] = place


@helper
def sink(records: Newest, place: int, size: int) -> None:
    """Move the entry at a place of the heap down while a child is older."""
    heap, places = records.heap, records.heap_places
    slot = heap[place]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and is_older(records, heap[child + 1], heap[child]):
            child += 1
        if not is_older(records, heap[child], slot):
            break
        heap[place] = heap[child]
        places[heap[place]] = place
        place = child
    heap[place] = slot
    places[slot] = place


@helper
def take(records: Newest, key: np.uint64, at_ms: int) -> int:
    """Give a key that has none a slot and return it. There has to be room."""
    size = records.table.sizes[HELD]
    slot = retain(records.table, key)
    records.at_ms[slot] = at_ms
    records.heap[size] = slot
    records.heap_places[slot] = size
    rise(records, size)
    return slot


@helper
def renew(records: Newest, slot: int, at_ms: int) -> None:
    """Set the time of a record, no earlier than the one it had."""
    records.at_ms[slot] = at_ms
    sink(records, records.heap_places[slot], records.table.sizes[HELD])


@helper
def drop(records: Newest, slot: int) -> None:
    """Take a record's slot back."""
    place, last = records.heap_places[slot], records.table.sizes[HELD] - 1
    moved = records.heap[last]
    release(records.table, slot)
    if moved != slot:
        records.heap[place] = moved
        records.heap_places[moved] = place
        rise(records, place)
        sink(records, records.heap_places[moved], last)


def grown(records: Newest) -> Newest:
    """Return a copy with twice the slots."""
    slots = len(records.at_ms)
    larger = newest(2 * slots)
    copy_keys(records.table, larger.table)
    larger.at_ms[:slots] = records.at_ms
    larger.heap[:slots] = records.heap
    larger.heap_places[:slots] = records.heap_places
    return larger
