"""Sums by number, in linear time where `np.unique` would sort: how sources add up what they find a thousand times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from inference.types import Keys

Numbers = npt.NDArray[np.intp]
"""Whole numbers from 0 on, such as rows of the catalogue, (n,)."""

Sums = npt.NDArray[np.float64]

Scalar = TypeVar("Scalar", bound=np.generic)


class Tally:
    """Tells numbers below `capacity` apart. Not thread-safe: it writes to one array that it keeps."""

    def __init__(self, capacity: int) -> None:
        self._marks = np.zeros(capacity, dtype=np.intp)
        self._sums = np.zeros(capacity)

    def distinct(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return the distinct ones among `numbers` (n,), and for each of the n its place among them.

        The order depends on that of `numbers` alone.
        """
        marks, positions = self._marks, np.arange(len(numbers))
        # Of equal numbers the last one's position stays.
        marks[numbers] = positions
        distinct = numbers[marks[numbers] == positions]
        marks[distinct] = positions[: len(distinct)]
        return distinct, marks[numbers]

    def sums(self, numbers: Numbers, weights: Sums) -> tuple[Numbers, Sums]:
        """Return the distinct ones among `numbers` (n,) and the sum of the `weights` (n,) of each, in their order."""
        distinct, places = self.distinct(numbers)
        return distinct, totals(places, weights, len(distinct))

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


def totals(places: Numbers, weights: Sums, number: int) -> Sums:
    """Return the sum of the `weights` (n,) of each place, (number,)."""
    return np.asarray(np.bincount(places, weights, minlength=number), dtype=np.float64)


def greatest(limit: int, values: npt.NDArray[Any], *ties: npt.NDArray[Any]) -> Numbers:
    """Return the places (limit,), in any order, of the greatest of `values` (n,); ties by the greatest `ties`."""
    if len(values) <= limit:
        return np.arange(len(values))
    threshold = np.partition(values, -limit)[-limit]
    above, level = (values > threshold).nonzero()[0], (values == threshold).nonzero()[0]
    missing = limit - len(above)
    chosen = greatest(missing, *(each[level] for each in ties)) if ties else np.arange(missing)
    return np.concatenate([above, level[chosen]])


def doubled(column: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return a column (n, …) with room for twice as many; what is new is 0."""
    return np.concatenate([column, np.zeros_like(column)])


def among(keys: Keys, few: Keys) -> npt.NDArray[np.bool_]:
    """Tell which of `keys` (n,) are among a `few` (m,): for so few, comparing each beats the sorting of `np.isin`."""
    # In this order the long axis is the inner one, which the comparison and `any` run along.
    return np.asarray((few[:, None] == keys).any(axis=0))
