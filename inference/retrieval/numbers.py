"""Dense numbers of items: stable keys to small integers, which index arrays. Reference-counted.

One set of numbers is shared by what is learned of shoppers and by all catalogues; a catalogue's rows are another.
"""

from __future__ import annotations

import numpy as np

from inference.kernels.keytable import HELD, KeyTable, copy_keys, key_table, release_number, retain_key

FEWEST = 256


class ItemNumbers:
    """Gives each key a number below `capacity`, and gives the number of a key that nobody holds to another key.

    Attributes:
        table: what kernels read. It is replaced when it grows.
    """

    def __init__(self) -> None:
        self.table: KeyTable = key_table(FEWEST)

    @property
    def capacity(self) -> int:
        """Numbers are below it. It never falls."""
        return len(self.table.keys)

    def retain(self, key: int) -> int:
        """Hold a key once more, and return its number."""
        self.make_room(1)
        return retain_key(self.table, np.uint64(key))

    def make_room(self, more: int) -> None:
        """Grow until so many more keys have room, so that a kernel can hold them."""
        capacity = self.capacity
        while capacity < self.table.sizes[HELD] + more:
            capacity *= 2
        if capacity > self.capacity:
            larger = key_table(capacity)
            copy_keys(self.table, larger)
            self.table = larger

    def release(self, number: int) -> None:
        """Hold the key of a number once less."""
        release_number(self.table, number)
