"""Lists of whole numbers that grow and shrink one by one and are read as an array: the lists of an inverted index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.int64]
NOTHING: Values = np.empty(0, dtype=np.int64)


class Postings:
    """Distinct numbers, in no order that means anything."""

    __slots__ = ("_length", "_values")

    def __init__(self) -> None:
        self._values = np.empty(2, dtype=np.int64)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def values(self) -> Values:
        """The numbers, (n,), int64: to be read before the next change."""
        return self._values[: self._length]

    def add(self, value: int) -> None:
        """Add a number that is not there yet."""
        if self._length == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._values[self._length] = value
        self._length += 1

    def remove(self, value: int) -> None:
        """Take a number out; nothing happens if it is not there."""
        places = np.flatnonzero(self.values == value)
        if len(places):
            self._length -= 1
            self._values[places[0]] = self._values[self._length]
