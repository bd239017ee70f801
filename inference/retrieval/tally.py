"""Sums by number, in linear time where `np.unique` would sort: how sources add up what they find a thousand times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from inference.types import Keys

Numbers = npt.NDArray[np.intp]
"""Whole numbers from 0 on, such as rows of the catalogue, (n,)."""

Sums = npt.NDArray[np.float64]

Scalar = TypeVar("Scalar", bound=np.generic)


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


class Pairs(NamedTuple):
    """Distinct pairs of a query and a row.

    Attributes:
        rows: the distinct rows, in the order of their keys, (m,).
        queries: of each pair the query, (n,).
        places: of each pair the place of its row in `rows`, (n,).
    """

    rows: Numbers
    queries: Numbers
    places: Numbers


def pairs_of(queries: Numbers, rows: Numbers, keys: Keys) -> tuple[Pairs, Numbers]:
    """Return the distinct ones among pairs of `queries` (n,) and `rows` (n,), and for each of the n its place there.

    `keys` are those of all rows.
    """
    few, places = distinct(rows, len(keys))
    order = keys[few].argsort()
    pairs, found = distinct(queries * len(few) + inverse(order)[places], len(few) * (queries.max(initial=-1) + 1))
    return Pairs(few[order], *np.divmod(pairs, len(few))), found


def inverse(order: Numbers) -> Numbers:
    """Return where an ordering (n,) of n puts each of them, (n,)."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def whose(lengths: Sequence[int] | Numbers) -> Numbers:
    """Return for lists of these `lengths` (n,), one after the other, the number of each entry's list."""
    return np.arange(len(lengths)).repeat(lengths)


def spread(lengths: Sequence[int] | Numbers) -> tuple[Numbers, Numbers]:
    """Return for lists of these `lengths` (n,), one after the other, each entry's list and its place there."""
    counts = np.asarray(lengths, dtype=np.intp)
    lists = whose(counts)
    return lists, np.arange(len(lists)) - (counts.cumsum() - counts)[lists]


def totals(places: Numbers, weights: Sums, number: int = 0) -> Sums:
    """Return the sum of the `weights` (n,) of each place, (number,), in their order; of more, where there are more."""
    return np.asarray(np.bincount(places, weights, minlength=number), dtype=np.float64)


def greatest(limit: int, values: npt.NDArray[Any], *ties: npt.NDArray[Any]) -> Numbers:
    """Return the places (limit,), in any order, of the greatest of `values` (n,); ties by the greatest `ties`."""
    if len(values) <= limit:
        return np.arange(len(values))
    threshold = np.partition(values, -limit)[-limit]
    chosen = np.flatnonzero(values >= threshold)
    if len(chosen) == limit:
        return chosen
    above, level = (values > threshold).nonzero()[0], (values == threshold).nonzero()[0]
    missing = limit - len(above)
    few = greatest(missing, *(each[level] for each in ties)) if ties else np.arange(missing)
    return np.concatenate([above, level[few]])


def greatest_of_each(limit: int, groups: Numbers, values: npt.NDArray[Any], *ties: npt.NDArray[Any]) -> Numbers:
    """Return the places of the greatest `limit` of each group's `values` (n,), ascending; ties by the greatest `ties`.

    `groups` (n,) ascend.
    """
    kept = np.ones(len(groups), dtype=np.bool_)
    lengths = np.bincount(groups)
    ends = lengths.cumsum()
    for group in (lengths > limit).nonzero()[0].tolist():
        own = slice(ends[group] - lengths[group], ends[group])
        kept[own] = False
        kept[own][greatest(limit, values[own], *(each[own] for each in ties))] = True
    return np.flatnonzero(kept)


def doubled(column: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return a column (n, …) with room for twice as many; what is new is 0."""
    return np.concatenate([column, np.zeros_like(column)])


def among(keys: Keys, few: Keys) -> npt.NDArray[np.bool_]:
    """Tell which of `keys` (n,) are among a `few` (m,): for so few, comparing each beats the sorting of `np.isin`."""
    # In this order the long axis is the inner one, which the comparison and `any` run along.
    return np.asarray((few[:, None] == keys).any(axis=0))
