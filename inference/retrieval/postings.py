"""The lists of an inverted index: integers that are added and removed one by one, and read as an array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.int64]
NOTHING: Values = np.empty(0, dtype=np.int64)


class Postings:
    """Distinct numbers, in no particular order."""

    __slots__ = ("_length", "_values")

    def __init__(self) -> None:
        self._values = np.empty(2, dtype=np.int64)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def values(self) -> Values:
        """The numbers, (n,), int64, valid until the next change."""
        return self._values[: self._length]

    def add(self, value: int) -> None:
        """Add a number that is not in the list yet."""
        if self._length == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._values[self._length] = value
        self._length += 1

    def remove(self, value: int) -> None:
        """Remove a number, if it is in the list."""
        places = np.flatnonzero(self.values == value)
        if len(places):
            self._length -= 1
            self._values[places[0]] = self._values[self._length]
