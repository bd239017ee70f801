"""Reference-counted small numbers for stable keys: a hash table in arrays, open addressing with linear probing.

Search and insertion are algorithm L, deletion is algorithm R of Knuth 1998, The Art of Computer Programming 3, 6.4.
Stable keys are hashes, so the low bits of a key are the place where its search starts. A number without references is
used again. `KeyNumbers` owns the arrays of a table and replaces them by larger ones.
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
"""Indices into `KeyTable.sizes`."""
FEWEST = 256
"""Keys for which a new table has room."""
PLACES = 2
"""Places of the hash table for each number. At most half of the places are taken, so that probing stays short."""


PLACE = np.dtype([("key", "<u8"), ("number", "<i4")], align=True)
ENTRY = np.dtype([("key", "<u8"), ("references", "<i4"), ("free", "<i4"), ("mark", "<i4")], align=True)


class KeyTable(NamedTuple):
    """Keys and their numbers, all below `capacity`. Kernels change the arrays in place but cannot make them longer.

    Attributes:
        places: the hash table, dtype PLACE (PLACES · capacity,): a key and its number, EMPTY in a free place.
        entries: by number, dtype ENTRY (capacity,). `key` is the number's key. `references` counts the references to
            it, 0 for a free number. The first `sizes[USED] - sizes[HELD]` values of `free` are a stack of the numbers
            to use again. `mark` is scratch memory of kernels, 0 between two calls.
        sizes: the number of keys held, and the number of numbers ever given, int64 (2,).
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
    # The number of places is a power of two, so the mask takes the remainder.
    mask = len(table.places) - 1
    place = np.int64(key & np.uint64(mask))
    # The loop ends: at least half of the places are free.
    while table.places[place]["number"] != EMPTY and table.places[place]["key"] != key:
        place = (place + 1) & mask
    return int(place)


@helper
def find(table: KeyTable, key: np.uint64) -> int:
    """Return the number of a key, -1 if it has none."""
    return int(table.places[place_of(table, key)]["number"])


@helper
def is_full(table: KeyTable, more: int) -> bool:
    """Return whether the table may lack room for `more` keys."""
    return bool(table.sizes[HELD] + more > len(table.entries))


@helper
def retain(table: KeyTable, key: np.uint64) -> int:
    """Add a reference to a key and return its number. The table must have room for the key."""
    place = place_of(table, key)
    number = table.places[place]["number"]
    if number == EMPTY:
        held, used = table.sizes[HELD], table.sizes[USED]
        # A free number is taken from the stack before a new one is given, so numbers stay below the capacity.
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
    """Remove a reference to a number. Return True if it was the last one, which removes the key as well."""
    table.entries[number]["references"] -= 1
    if table.entries[number]["references"] > 0:
        return False
    mask = len(table.places) - 1
    hole = place_of(table, table.entries[number]["key"])
    place = (hole + 1) & mask
    # Algorithm R. A search ends at a free place, so a hole would hide the keys after it. Each later key of the run
    # moves into the hole, unless its search starts after the hole and so does not pass it.
    while table.places[place]["number"] != EMPTY:
        start = np.int64(table.places[place]["key"] & np.uint64(mask))
        if (place - start) & mask >= (place - hole) & mask:
            table.places[hole]["key"] = table.places[place]["key"]
            table.places[hole]["number"] = table.places[place]["number"]
            hole = place
        place = (place + 1) & mask
    table.places[hole]["number"] = EMPTY
    # Push the number on the stack of free numbers.
    table.entries[table.sizes[USED] - table.sizes[HELD]]["free"] = number
    table.sizes[HELD] -= 1
    return True


@kernel(types.int64(KEY_TABLE, types.uint64), allocates=False)
def retain_key(table: KeyTable, key: np.uint64) -> int:
    """Add a reference to a key and return its number. Return -1 if the table has no room."""
    if is_full(table, 1) and find(table, key) == EMPTY:
        return -1
    return retain(table, key)


@kernel(types.boolean(KEY_TABLE, types.int64), allocates=False)
def release_number(table: KeyTable, number: int) -> bool:
    """Remove a reference to a number. Return True if it was the last one."""
    return release(table, number)


@kernel(types.void(KEY_TABLE, _keys, _numbers), allocates=False)
def find_keys(table: KeyTable, keys: Keys, numbers: Numbers) -> None:
    """Write the number of each of `keys` (n,) to `numbers` (n,), -1 for a key without one."""
    for place in range(len(keys)):
        numbers[place] = find(table, keys[place])


@kernel(types.void(KEY_TABLE, KEY_TABLE), allocates=False)
def copy_keys(table: KeyTable, larger: KeyTable) -> None:
    """Copy a table into a larger one that is empty. Every key keeps its number."""
    used = table.sizes[USED]
    for number in range(used):
        larger.entries[number]["key"] = table.entries[number]["key"]
        larger.entries[number]["references"] = table.entries[number]["references"]
        # The stack of free numbers is in the same rows, so it is copied with them.
        larger.entries[number]["free"] = table.entries[number]["free"]
        # A free number keeps the key that it had last. Only keys in use get a place.
        if table.entries[number]["references"] > 0:
            place = place_of(larger, table.entries[number]["key"])
            larger.places[place]["key"] = table.entries[number]["key"]
            larger.places[place]["number"] = number
    larger.sizes[HELD] = table.sizes[HELD]
    larger.sizes[USED] = used


class KeyNumbers:
    """Numbers of stable keys, all below `capacity`, which grows by doubling. Not thread-safe.

    Attributes:
        table: the arrays, for kernels; replaced by larger ones when they are full.
    """

    def __init__(self) -> None:
        self.table: KeyTable = key_table(FEWEST)

    def __len__(self) -> int:
        return int(self.table.sizes[HELD])

    @property
    def capacity(self) -> int:
        """The bound that all numbers are below."""
        return len(self.table.entries)

    def retain(self, key: int) -> int:
        """Add a reference to a key and return its number."""
        number = retain_key(self.table, np.uint64(key))
        if number < 0:
            self.reserve(1)
            number = retain_key(self.table, np.uint64(key))
        return int(number)

    def release(self, number: int) -> None:
        """Remove a reference to a number. The last one removes its key."""
        if not 0 <= number < self.capacity or self.table.entries[number]["references"] == 0:
            raise LookupError(f"release: required a number in use, got {number}")
        release_number(self.table, number)

    def find(self, keys: Keys) -> Numbers:
        """Return the number of each of `keys` (n,), int32, -1 for a key without one."""
        numbers = np.empty(len(keys), dtype=np.int32)
        find_keys(self.table, np.ascontiguousarray(keys), numbers)
        return numbers

    def find_one(self, key: int) -> int:
        """Return the number of a key, -1 without one."""
        return int(self.find(np.array([key], dtype=np.uint64))[0])

    def reserve(self, more: int) -> None:
        """Grow the table, if necessary, to hold `more` keys."""
        capacity = self.capacity
        while len(self) + more > capacity:
            capacity *= 2
        if capacity > self.capacity:
            larger = key_table(capacity)
            copy_keys(self.table, larger)
            self.table = larger
