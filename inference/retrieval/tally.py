"""Sums by number and distinct numbers, in linear time where `np.unique` would sort: for the index of words."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.intp]
"""Whole numbers from 0 on, such as rows of the catalogue, (n,)."""

Sums = npt.NDArray[np.float64]


class Tally:
    """Adds up by numbers below `capacity`. Not thread-safe: it writes to one array that it keeps."""

    def __init__(self, capacity: int) -> None:
        self._sums = np.zeros(capacity)

    def add_up(self, terms: Iterable[tuple[Numbers, Sums]]) -> tuple[Numbers, Sums]:
        """Return the distinct numbers (n,) of all terms and their sums (n,).

        Each term has distinct numbers and weights above 0.
        """
        found = []
        for numbers, weights in terms:
            held = self._sums[numbers]
            self._sums[numbers] = held + weights
            found.append(numbers[held == 0])
        distinct = found[0] if len(found) == 1 else np.concatenate([np.empty(0, dtype=np.intp), *found])
        sums = self._sums[distinct]
        self._sums[distinct] = 0.0
        return distinct, sums


def distinct(numbers: Numbers, below: int) -> tuple[Numbers, Numbers]:
    """Return the distinct ones among `numbers` (n,), all `below` a bound, and for each of the n its place among them.

    The order depends on that of `numbers` alone.
    """
    marks, positions = np.empty(below, dtype=np.intp), np.arange(len(numbers))
    # Of equal numbers the last one's position stays. What was not marked is never read.
    marks[numbers] = positions
    few = numbers[marks[numbers] == positions]
    marks[few] = positions[: len(few)]
    return few, marks[numbers]
