"""Stable keys to small numbers, reference-counted: a hash table in arrays, open addressing with linear probing.

Knuth 1998, The Art of Computer Programming 3, 6.4, algorithms L and R. Stable keys are hashes: their low bits serve as
the home place. A number that nobody refers to any more is used again.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.types import Keys

Numbers = npt.NDArray[np.int32]

EMPTY = -1
HELD, USED = 0, 1
"""Places in `KeyTable.sizes`."""
PLACES = 2
"""Places of the hash table for each number: at most half of them are taken."""


PLACE = np.dtype([("key", "<u8"), ("number", "<i4")], align=True)
ENTRY = np.dtype([("key", "<u8"), ("references", "<i4"), ("free", "<i4"), ("mark", "<i4")], align=True)


class KeyTable(NamedTuple):
    """Keys and their numbers, below `capacity`. Kernels change the arrays in place; they cannot make them longer.

    Attributes:
        places: the hash table, dtype PLACE (PLACES · capacity,): a key and its number, EMPTY where no key is.
        entries: by number, dtype ENTRY (capacity,): its key; how many refer to it, 0 where the number is free; the
            stack of the `sizes[USED] - sizes[HELD]` numbers that are free again; scratch memory of kernels, 0 between
            two calls.
        sizes: how many keys are held, and how many numbers were ever given, int64 (2,).
    """

    places: npt.NDArray[np.void]
    entries: npt.NDArray[np.void]
    sizes: npt.NDArray[np.int64]


_numbers = types.int32[::1]
_keys = types.uint64[::1]
KEY_TABLE = types.NamedTuple((numba.from_dtype(PLACE)[::1], numba.from_dtype(ENTRY)[::1], types.int64[::1]), KeyTable)


def key_table(capacity: int) -> KeyTable:
    """Return a table with room for `capacity` keys, a power of two."""
    places = np.zeros(PLACES * capacity, dtype=PLACE)
    places["number"] = EMPTY
    return KeyTable(places, np.zeros(capacity, dtype=ENTRY), np.zeros(2, dtype=np.int64))


@helper
def place_of(table: KeyTable, key: np.uint64) -> int:
    """Return the place of a key in the hash table, or the empty place where it belongs."""
    mask = len(table.places) - 1
    place = np.int64(key & np.uint64(mask))
    while table.places[place]["number"] != EMPTY and table.places[place]["key"] != key:
        place = (place + 1) & mask
    return int(place)


@helper
def find(table: KeyTable, key: np.uint64) -> int:
    """Return the number of a key, -1 if it has none."""
    return int(table.places[place_of(table, key)]["number"])


@helper
def is_full(table: KeyTable, more: int) -> bool:
    """Tell whether `more` keys may not fit."""
    return bool(table.sizes[HELD] + more > len(table.entries))


@helper
def retain(table: KeyTable, key: np.uint64) -> int:
    """Count one more reference to a key and return its number. There has to be room for it."""
    place = place_of(table, key)
    number = table.places[place]["number"]
    if number == EMPTY:
        held, used = table.sizes[HELD], table.sizes[USED]
        if held < used:
            number = table.entries[used - held - 1]["free"]
        else:
            number = np.int32(used)
            table.sizes[USED] = used + 1
        table.sizes[HELD] = held + 1
        table.places[place]["key"] = key
        table.places[place]["number"] = number
        table.entries[number]["key"] = key
    table.entries[number]["references"] += 1
    return int(number)


@helper
def release(table: KeyTable, number: int) -> bool:
    """Count one reference less; True if it was the last one, so that the key is gone."""
    table.entries[number]["references"] -= 1
    if table.entries[number]["references"] > 0:
        return False
    mask = len(table.places) - 1
    hole = place_of(table, table.entries[number]["key"])
    place = (hole + 1) & mask
    while table.places[place]["number"] != EMPTY:
        # A key moves back into the hole unless its home lies behind the hole.
        home = np.int64(table.places[place]["key"] & np.uint64(mask))
        if (place - home) & mask >= (place - hole) & mask:
            table.places[hole]["key"] = table.places[place]["key"]
            table.places[hole]["number"] = table.places[place]["number"]
            hole = place
        place = (place + 1) & mask
    table.places[hole]["number"] = EMPTY
    table.entries[table.sizes[USED] - table.sizes[HELD]]["free"] = number
    table.sizes[HELD] -= 1
    return True


@kernel(types.int64(KEY_TABLE, types.uint64), allocates=False)
def retain_key(table: KeyTable, key: np.uint64) -> int:
    """Count one more reference to a key and return its number; -1 if the table has no room."""
    if is_full(table, 1) and find(table, key) == EMPTY:
        return -1
    return retain(table, key)


@kernel(types.boolean(KEY_TABLE, types.int64), allocates=False)
def release_number(table: KeyTable, number: int) -> bool:
    """Count one reference less; True if it was the last one."""
    return release(table, number)


@kernel(types.void(KEY_TABLE, _keys, _numbers), allocates=False)
def find_keys(table: KeyTable, keys: Keys, numbers: Numbers) -> None:
    """Write the number of each of `keys` (n,) to `numbers` (n,), -1 for those without one."""
    for place in range(len(keys)):
        numbers[place] = find(table, keys[place])


@kernel(types.void(KEY_TABLE, KEY_TABLE), allocates=False)
def copy_keys(table: KeyTable, larger: KeyTable) -> None:
    """Copy an empty or full table into a larger one that is still empty: every key keeps its number."""
    used = table.sizes[USED]
    for number in range(used):
        larger.entries[number]["key"] = table.entries[number]["key"]
        larger.entries[number]["references"] = table.entries[number]["references"]
        larger.entries[number]["free"] = table.entries[number]["free"]
        if table.entries[number]["references"] > 0:
            place = place_of(larger, table.entries[number]["key"])
            larger.places[place]["key"] = table.entries[number]["key"]
            larger.places[place]["number"] = number
    larger.sizes[HELD] = table.sizes[HELD]
    larger.sizes[USED] = used
