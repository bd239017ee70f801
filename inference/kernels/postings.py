"""A bounded inverted index in arrays: for each number the places of the records that have it.

All lists share one array. Each list has a block of 4, 8, 16, … places. A list that outgrows its block moves to one of
twice the size, and free blocks are used again.

A list that grows beyond its limit drops its least entries and keeps the order of the greatest entry dropped. An entry
that is no greater is not listed later either, so lists do not depend on the order in which records arrive. The caller
defines the order of entries, by strength and then by key.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper
from inference.kernels.keytable import Numbers

SMALLEST = 4
NO_BLOCK = -1
NONE_DROPPED = -np.inf
SIZES = 24
TOP = SIZES
"""Index into `Postings.blocks`: the start of the part of the array that was never used."""

LIST = np.dtype(
    [
        ("start", "<i8"),
        ("length", "<i4"),
        ("capacity", "<i4"),
        ("records", "<i4"),
        ("is_sorted", "<i4"),
        ("dropped", "<f8"),
        ("dropped_key", "<u8"),
    ],
    align=True,
)
"""One list. `start` and `capacity` are its block. `records` counts the records that have the number, listed or not.
`is_sorted` is for callers that sort lists when they read them. `dropped` and `dropped_key` are the order of the
greatest entry that was dropped."""


class Postings(NamedTuple):
    """The lists of an inverted index.

    Attributes:
        lists: dtype LIST, one for each number.
        values: the entries of all lists, int32 (n,).
        blocks: the first free block of each size, int64, and at TOP the end of all blocks. A free block holds the start
            of the next free one in its first place.
    """

    lists: npt.NDArray[np.void]
    values: Numbers
    blocks: npt.NDArray[np.int64]


POSTINGS = types.NamedTuple((numba.from_dtype(LIST)[::1], types.int32[::1], types.int64[::1]), Postings)


def no_lists(capacity: int) -> npt.NDArray[np.void]:
    """Return `capacity` empty lists."""
    lists = np.zeros(capacity, dtype=LIST)
    lists["dropped"] = NONE_DROPPED
    return lists


def no_postings(capacity: int, entries: int) -> Postings:
    """Return empty lists for numbers below `capacity`, with room for `entries`."""
    blocks = np.full(SIZES + 1, NO_BLOCK, dtype=np.int64)
    blocks[TOP] = 0
    return Postings(no_lists(capacity), np.zeros(entries, dtype=np.int32), blocks)


def block_size(entries: int) -> int:
    """Return the size of the block for a list with this number of entries."""
    size = SMALLEST
    while size < entries:
        size *= 2
    return size


def with_capacity(index: Postings, capacity: int, entries: int) -> Postings:
    """Return the lists for numbers below `capacity`, with space for `entries` more entries.

    Arrays that are large enough are returned as they are.
    """
    lists, values, blocks = index
    if len(lists) < capacity:
        lists = no_lists(capacity)
        lists[: len(index.lists)] = index.lists
    if blocks[TOP] + entries > len(values):
        values = np.zeros(2 * len(values) + entries, dtype=np.int32)
        values[: len(index.values)] = index.values
    return Postings(lists, values, blocks)


@helper
def size_class(size: int) -> int:
    """Return the index into `blocks` of a block size."""
    place = 0
    while size > SMALLEST:
        size //= 2
        place += 1
    return place


@helper
def free_block(index: Postings, start: int, size: int) -> None:
    """Add a block to the free blocks of its size."""
    place = size_class(size)
    index.values[start] = index.blocks[place]
    index.blocks[place] = start


@helper
def append(index: Postings, number: int, value: int) -> None:
    """Append an entry to a list. The array must have room for one more block."""
    held = index.lists[number]
    length, capacity, start = held["length"], held["capacity"], held["start"]
    if length == capacity:
        # The list moves to a block of twice the size. The old block is freed after the copy, because a free block holds
        # the start of the next free one in its first place.
        larger = max(SMALLEST, 2 * capacity)
        place = size_class(larger)
        target = index.blocks[place]
        if target == NO_BLOCK:
            target = index.blocks[TOP]
            index.blocks[TOP] = target + larger
        else:
            index.blocks[place] = index.values[target]
        for at in range(length):
            index.values[target + at] = index.values[start + at]
        if capacity > 0:
            free_block(index, start, capacity)
        held["start"], held["capacity"] = target, larger
        start = target
    index.values[start + length] = value
    held["length"] = length + 1


@helper
def clear(index: Postings, number: int) -> None:
    """Empty a list and free its block."""
    held = index.lists[number]
    if held["capacity"] > 0:
        free_block(index, held["start"], held["capacity"])
    held["capacity"] = held["length"] = held["is_sorted"] = 0
    # The number goes to another key, whose list must not inherit what this one dropped.
    held["dropped"], held["dropped_key"] = NONE_DROPPED, np.uint64(0)


@helper
def is_listed(index: Postings, number: int, strength: float, key: np.uint64) -> bool:
    """Return whether an entry of this order is listed: it is greater than every entry dropped."""
    held = index.lists[number]
    dropped = held["dropped"]
    return bool(strength > dropped or (strength == dropped and key > held["dropped_key"]))


@helper
def drop_first(index: Postings, number: int, few: int, strength: float, key: np.uint64) -> None:
    """Drop the first `few` entries of a sorted list. `strength` and `key` are the order of the last one dropped."""
    held = index.lists[number]
    start, left = held["start"], held["length"] - few
    for at in range(left):
        index.values[start + at] = index.values[start + few + at]
    held["length"] = left
    held["dropped"], held["dropped_key"] = strength, key
