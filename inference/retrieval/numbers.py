"""Dense, reference-counted numbers for stable keys, so that kernels can index arrays by item."""

from __future__ import annotations

import numpy as np

from inference.kernels.keytable import (
    HELD,
    KeyTable,
    Numbers,
    copy_keys,
    find_keys,
    key_table,
    release_number,
    retain_key,
)
from inference.kernels.votes import Votes, votes
from inference.types import Keys

FEWEST = 256


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


class ItemNumbers(KeyNumbers):
    """Numbers of items, shared by the learned behaviour and all catalogues.

    Attributes:
        votes: scratch memory by item number, for the sources that add up votes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.votes: Votes = votes(self.capacity)

    def reserve(self, more: int) -> None:
        """Grow the table and the scratch memory, if necessary, to hold `more` items."""
        super().reserve(more)
        if len(self.votes.sums) < self.capacity:
            self.votes = votes(self.capacity)
