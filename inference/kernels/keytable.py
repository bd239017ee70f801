"""Stable keys to small numbers, reference-counted: a hash table in arrays, open addressing with linear probing.

Knuth 1998, The Art of Computer Programming 3, 6.4, algorithms L and R. Stable keys are hashes: their low bits serve as
the home place. A number that nobody refers to any more is used again.
"""

from __future__ import annotations

from typing import NamedTuple

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


class KeyTable(NamedTuple):
    """Keys and their numbers, below `capacity`. Kernels change the arrays in place; they cannot make them longer.

    Attributes:
        place_keys: the hash table's keys, uint64 (PLACES · capacity,).
        place_numbers: the hash table's numbers, int32 (PLACES · capacity,); EMPTY where no key is.
        keys: the key of each number, uint64 (capacity,).
        references: how many refer to each number, int32 (capacity,); 0: the number is free.
        free: the numbers that are free again, a stack of `sizes[USED] - sizes[HELD]`, int32 (capacity,).
        marks: scratch memory of whoever learns, int32 (capacity,); 0 between calls.
        sizes: how many keys are held, and how many numbers were ever given, int64 (2,).
    """

    place_keys: Keys
    place_numbers: Numbers
    keys: Keys
    references: Numbers
    free: Numbers
    marks: Numbers
    sizes: npt.NDArray[np.int64]


_numbers = types.int32[::1]
_keys = types.uint64[::1]
KEY_TABLE = types.NamedTuple((_keys, _numbers, _keys, _numbers, _numbers, _numbers, types.int64[::1]), KeyTable)


def key_table(capacity: int) -> KeyTable:
    """Return a table with room for `capacity` keys, a power of two."""
    return KeyTable(
        np.zeros(PLACES * capacity, dtype=np.uint64),
        np.full(PLACES * capacity, EMPTY, dtype=np.int32),
        np.zeros(capacity, dtype=np.uint64),
        *(np.zeros(capacity, dtype=np.int32) for _ in range(3)),
        np.zeros(2, dtype=np.int64),
    )


@helper
def place_of(table: KeyTable, key: np.uint64) -> int:
    """Return the place of a key in the hash table, or the empty place where it belongs."""
    mask = len(table.place_keys) - 1
    place = np.int64(key & np.uint64(mask))
    while table.place_numbers[place] != EMPTY and table.place_keys[place] != key:
        place = (place + 1) & mask
    return int(place)


@helper
def find(table: KeyTable, key: np.uint64) -> int:
    """Return the number of a key, -1 if it has none."""
    return int(table.place_numbers[place_of(table, key)])


@helper
def is_full(table: KeyTable, more: int) -> bool:
    """Tell whether `more` keys may not fit."""
    return bool(table.sizes[HELD] + more > len(table.keys))


@helper
def retain(table: KeyTable, key: np.uint64) -> int:
    """Count one more reference to a key and return its number. There has to be room for it."""
    place = place_of(table, key)
    number = table.place_numbers[place]
    if number == EMPTY:
        held, used = table.sizes[HELD], table.sizes[USED]
        if held < used:
            number = table.free[used - held - 1]
        else:
            number = np.int32(used)
            table.sizes[USED] = used + 1
        table.sizes[HELD] = held + 1
        table.place_keys[place] = key
        table.place_numbers[place] = number
        table.keys[number] = key
    table.references[number] += 1
    return int(number)


@helper
def release(table: KeyTable, number: int) -> bool:
    """Count one reference less; True if it was the last one, so that the key is gone."""
    table.references[number] -= 1
    if table.references[number] > 0:
        return False
    mask = len(table.place_keys) - 1
    hole = place_of(table, table.keys[number])
    place = (hole + 1) & mask
    while table.place_numbers[place] != EMPTY:
        # A key moves back into the hole unless its home lies behind the hole.
        home = np.int64(table.place_keys[place] & np.uint64(mask))
        if (place - home) & mask >= (place - hole) & mask:
            table.place_keys[hole] = table.place_keys[place]
            table.place_numbers[hole] = table.place_numbers[place]
            hole = place
        place = (place + 1) & mask
    table.place_numbers[hole] = EMPTY
    table.free[table.sizes[USED] - table.sizes[HELD]] = number
    table.sizes[HELD] -= 1
    return True


@kernel(types.int64(KEY_TABLE, types.uint64))
def retain_key(table: KeyTable, key: np.uint64) -> int:
    """Count one more reference to a key and return its number; -1 if the table has no room."""
    if is_full(table, 1) and find(table, key) == EMPTY:
        return -1
    return retain(table, key)


@kernel(types.boolean(KEY_TABLE, types.int64))
def release_number(table: KeyTable, number: int) -> bool:
    """Count one reference less; True if it was the last one."""
    return release(table, number)


@kernel(types.void(KEY_TABLE, _keys, _numbers))
def find_keys(table: KeyTable, keys: Keys, numbers: Numbers) -> None:
    """Write the number of each of `keys` (n,) to `numbers` (n,), -1 for those without one."""
    for place in range(len(keys)):
        numbers[place] = find(table, keys[place])


@kernel(types.void(KEY_TABLE, KEY_TABLE))
def copy_keys(table: KeyTable, larger: KeyTable) -> None:
    """Copy an empty or full table into a larger one that is still empty: every key keeps its number."""
    used = table.sizes[USED]
    for number in range(used):
        larger.keys[number] = table.keys[number]
        larger.references[number] = table.references[number]
        larger.free[number] = table.free[number]
        if table.references[number] > 0:
            place = place_of(larger, table.keys[number])
            larger.place_keys[place] = table.keys[number]
            larger.place_numbers[place] = number
    larger.sizes[HELD] = table.sizes[HELD]
    larger.sizes[USED] = used
