"""Exposure of the catalogue's items in a worker's lists: which groups of items shoppers get to see. No I/O.

The exposure of an item is the sum of 1 / log₂(1 + rank) over the lists that show it. Repeated lists do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inference.ranking.lists import Lists
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.groups import GROUPS, Floats, Numbers


@dataclass(frozen=True, slots=True)
class Exposed:
    """Exposure since the last report.

    Attributes:
        groups: exposure by kind of group and group, the names of `GROUPS`.
        gini: Gini coefficient of the exposure of the items in stock.
        coverage: share of the items in stock that were in a list.
    """

    groups: Mapping[tuple[str, str], float]
    gini: float
    coverage: float


class Exposure:
    """Exposure of each item of a catalogue, by row. Use it in the catalogue's thread, or while that thread waits."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._by_row = np.zeros(0)

    def add(self, lists: Lists) -> None:
        """Add lists. Items without a row, those of a list of popular items, do not count."""
        capacity = len(self._catalogue.columns.keys)
        if len(self._by_row) < capacity:
            self._by_row = np.concatenate([self._by_row, np.zeros(capacity - len(self._by_row))])
        shown = lists.rows >= 0
        np.add.at(self._by_row, lists.rows[shown], position_weights(lists.starts)[shown])

    def take(self, now_s: float) -> Exposed | None:
        """Return the exposure since the last call, None without any; `now_s` is the time, in seconds since 1970."""
        columns, exposure = self._catalogue.columns, self._by_row
        self._by_row = np.zeros(0)
        rows = np.flatnonzero(columns.available[: len(exposure)])
        own = exposure[rows]
        if not own.any():
            return None
        groups = self._catalogue.groups.of_rows(columns, rows, now_s)
        sums = {by: np.bincount(groups[by], weights=own, minlength=len(names)) for by, names in GROUPS.items()}
        return Exposed(
            groups={
                (by, name): float(value)
                for by, names in GROUPS.items()
                for name, value in zip(names, sums[by], strict=True)
            },
            gini=gini(own),
            coverage=float(np.count_nonzero(own) / len(own)),
        )


def position_weights(starts: Numbers) -> Floats:
    """Return the exposure of each place of the lists `starts[i]:starts[i + 1]`: 1 / log₂(1 + rank), as in DCG."""
    ranks = np.arange(int(starts[-1])) - np.repeat(starts[:-1], np.diff(starts)) + 1
    return np.asarray(1.0 / np.log2(1.0 + ranks), dtype=np.float64)


def shares(exposure: Floats, groups: Numbers, names: Sequence[str]) -> Floats:
    """Return each group's part of the exposure (n,), which sums to 1 unless there is none."""
    sums = np.bincount(groups, weights=exposure, minlength=len(names))
    return np.asarray(sums / max(sums.sum(), 1e-300), dtype=np.float64)


def gini(exposure: Floats) -> float:
    """Return the Gini coefficient of the items' exposure: 0 if all items have the same, near 1 if one item has all.

    G = Σ (2 i − n − 1) x_i / (n Σ x), with x in rising order and i from 1.
    """
    n, total = len(exposure), float(exposure.sum())
    if not n or total <= 0:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) @ np.sort(exposure)) / (n * total))
