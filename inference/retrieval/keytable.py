"""Stable keys to small numbers, a thousand at a time: a hash table in arrays, open addressing with linear probing.

Knuth 1998, The Art of Computer Programming 3, 6.4, algorithms L and R. Stable keys are hashes: their low bits serve.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.types import Keys

Numbers = npt.NDArray[np.intp]

EMPTY = -1
ROOM = 4
"""Places for each key at the least: then nearly every key lies where it belongs, or a place or two further on."""


class KeyTable:
    """A dict of stable keys that looks up arrays of them."""

    def __init__(self) -> None:
        self._length = 0
        self._allocate(1024)

    def __len__(self) -> int:
        return self._length

    def set(self, key: int, number: int) -> None:
        """Set the number, 0 or more, of a key."""
        if ROOM * (self._length + 1) > len(self._keys):
            self._grow()
        place = self._place(key)
        if self._numbers[place] == EMPTY:
            self._length += 1
        self._keys[place] = key
        self._numbers[place] = number

    def remove(self, key: int) -> None:
        """Take a key out; nothing happens if it is not there."""
        hole = self._place(key)
        if self._numbers[hole] == EMPTY:
            return
        self._length -= 1
        place = hole
        while self._numbers[place := (place + 1) & self._mask] != EMPTY:
            # A key moves back into the hole unless it belongs behind the hole.
            home = int(self._keys[place]) & self._mask
            if (place - home) & self._mask >= (place - hole) & self._mask:
                self._keys[hole], self._numbers[hole] = self._keys[place], self._numbers[place]
                hole = place
        self._numbers[hole] = EMPTY

    def numbers(self, keys: Keys) -> Numbers:
        """Return the number of each of `keys` (n,), -1 for those that are not there."""
        places = (keys & np.uint64(self._mask)).astype(np.intp)
        numbers = self._numbers[places]
        (astray,) = ((self._keys[places] != keys) & (numbers != EMPTY)).nonzero()
        while len(astray):
            places[astray] = further = (places[astray] + 1) & self._mask
            numbers[astray] = found = self._numbers[further]
            astray = astray[(self._keys[further] != keys[astray]) & (found != EMPTY)]
        return numbers

    def _place(self, key: int) -> int:
        place = key & self._mask
        while self._numbers[place] != EMPTY and self._keys[place] != key:
            place = (place + 1) & self._mask
        return place

    def _allocate(self, places: int) -> None:
        self._mask = places - 1
        self._keys = np.zeros(places, dtype=np.uint64)
        self._numbers = np.full(places, EMPTY, dtype=np.intp)

    def _grow(self) -> None:
        keys, numbers = self._keys, self._numbers
        self._allocate(4 * len(keys))
        held = np.flatnonzero(numbers != EMPTY)
        for key, number in zip(keys[held].tolist(), numbers[held].tolist(), strict=True):
            place = self._place(key)
            self._keys[place], self._numbers[place] = key, number
