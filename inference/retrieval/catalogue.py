"""The catalogue as arrays: what retrieval searches and ranking reads.

One row an item; a removed item's row is used again. One thread writes and searches: rows are valid within one batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np

from inference.retrieval.ann import NeighbourIndex
from inference.retrieval.columns import Columns, Rows
from inference.retrieval.vectors import MAX_DIM, Int8Vector, inverse_norms, quantise
from inference.types import Item, Vector, label_key, stable_key

FEW = 3
"""So many vectors are multiplied one by one: for a product of matrices BLAS copies the large one first, which only pays
for more of them. Either way the same bits come out."""


class Found(NamedTuple):
    """Rows of the catalogue (n,) by falling score (n,), float32; ties by stable key."""

    rows: Rows
    scores: Vector


class Catalogue:
    """Items beside their vectors, searched exactly up to `exact_limit` items and approximately above.

    Args:
        dim: dimensions of the vectors.
        exact_limit: up to this many items a search is one exact matrix product.

    Raises:
        ValueError: `dim` is outside of 1..1040, where similarities are exact.
    """

    def __init__(self, dim: int, *, exact_limit: int = 20_000) -> None:
        if not 1 <= dim <= MAX_DIM:
            raise ValueError(f"dim: 1 to {MAX_DIM} required, {dim} came")
        self.dim = dim
        self.popular: Rows = np.empty(0, dtype=np.intp)
        self._exact_limit = exact_limit
        self._neighbours: NeighbourIndex | None = None
        self._unindexed: dict[int, None] = {}
        self._row_of: dict[int, int] = {}
        self._items: list[Item | None] = []
        self._free: list[int] = []
        self.columns = Columns(256, dim)

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, key: object) -> bool:
        return key in self._row_of

    def get(self, key: int) -> Item | None:
        """Return the item with this stable key."""
        row = self._row_of.get(key)
        return None if row is None else self._items[row]

    def row(self, key: int) -> int | None:
        """Return the row of the item with this stable key."""
        return self._row_of.get(key)

    def item(self, row: int) -> Item:
        """Return the item in a row that a search gave."""
        item = self._items[row]
        if item is None:
            raise LookupError(f"row {row} of the catalogue is empty")
        return item

    def upsert(self, item: Item, vector: Int8Vector) -> None:
        """Add or replace an item; `vector` is int8 of shape (dim,)."""
        if vector.shape != (self.dim,):
            raise ValueError(f"vector of {item.item_id!r}: shape ({self.dim},) required, {vector.shape} came")
        key = stable_key(item.item_id)
        row = self._row_of.get(key)
        known = row is not None and np.array_equal(self.columns.vectors[row], vector)
        if row is None:
            row = self._row_of[key] = self._new_row()
        self._items[row] = item
        columns = self.columns
        columns.keys[row] = key
        columns.vectors[row] = vector
        columns.inverse_norms[row] = inverse_norms(columns.vectors[row])
        columns.available[row] = item.in_stock
        columns.categories[row] = label_key(item.label)
        columns.brands[row] = label_key(item.brand)
        if not known:
            self._unindexed[row] = None

    def remove(self, item_id: str) -> bool:
        """Take an item out; False if it was not there."""
        row = self._row_of.pop(stable_key(item_id), None)
        if row is None:
            return False
        self._items[row] = None
        self.columns.available[row] = False
        self.columns.popularity[row] = 0.0
        self.popular = self.popular[self.popular != row]
        self._unindexed.pop(row, None)
        if self._neighbours is not None:
            self._neighbours.remove(row)
        self._free.append(row)
        return True

    def set_popularity(self, scores: Mapping[int, float]) -> None:
        """Replace every item's popularity, in [0, 1], given by stable key; items not named have none."""
        self.columns.popularity[:] = 0.0
        found = [(row, score) for key, score in scores.items() if (row := self._row_of.get(key)) is not None]
        rows = np.array([row for row, _ in found], dtype=np.intp)
        self.columns.popularity[rows] = [score for _, score in found]
        self.popular = rows[np.lexsort((self.columns.keys[rows], -self.columns.popularity[rows]))]

    def search(self, vectors: Vector, limit: int) -> list[Found]:
        """Return the `limit` available items nearest to each of `vectors` (n, dim) by cosine."""
        if not len(vectors):
            return []
        queries = quantise(vectors).astype(np.float32)
        if self._neighbours is None or self._unindexed:
            similarities = self._similarities(queries, slice(len(self._items)))
            available = np.flatnonzero(self.columns.available[: len(self._items)])
            return [self._top(available, row[available], limit) for row in similarities]
        found = []
        for query, near in zip(queries, self._neighbours.search(queries, limit), strict=True):
            rows = near[self.columns.available[near]]
            found.append(self._top(rows, self._similarities(query[None], rows)[0], limit))
        return found

    def build_index(self, most: int) -> bool:
        """Add at most `most` items to the approximate index, where one is needed; True while there is more to add.

        Search is exact until all are in it, so whoever changes a large catalogue calls this afterwards.
        """
        if len(self) <= self._exact_limit:
            return False
        if self._neighbours is None:
            self._neighbours = NeighbourIndex(self.dim)
        rows = np.array(list(islice(self._unindexed, most)), dtype=np.intp)
        self._neighbours.add(rows, self.columns.vectors[rows])
        for row in rows.tolist():
            del self._unindexed[row]
        return bool(self._unindexed)

    def similarities(self, vectors: Vector, rows: Rows) -> Vector:
        """Return the cosines (n, len(rows)) of `vectors` (n, dim) to the items in `rows`."""
        return self._similarities(quantise(vectors).astype(np.float32), rows)

    def _similarities(self, queries: Vector, rows: Rows | slice) -> Vector:
        matrix = self.columns.vectors[rows]
        products = np.stack([matrix @ query for query in queries]) if len(queries) <= FEW else queries @ matrix.T
        norms = self.columns.inverse_norms[rows]
        return np.asarray(products * inverse_norms(queries)[:, None] * norms, dtype=np.float32)

    def _top(self, rows: Rows, scores: Vector, limit: int) -> Found:
        """Select the best `limit` of `rows` by `scores`, ties by stable key also at the cut."""
        if len(rows) > limit:
            best = np.flatnonzero(scores >= np.partition(scores, -limit)[-limit])
            rows, scores = rows[best], scores[best]
        order = np.lexsort((self.columns.keys[rows], -scores))[:limit]
        return Found(rows[order], scores[order])

    def _new_row(self) -> int:
        if self._free:
            return self._free.pop()
        if len(self._items) == len(self.columns.keys):
            self.columns = self.columns.grown()
        self._items.append(None)
        return len(self._items) - 1
