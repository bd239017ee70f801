"""The search of the items nearest to a vector: one exact product, or the approximate index for a large catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from inference.retrieval.ann import NeighbourIndex
from inference.retrieval.columns import Columns, Rows
from inference.retrieval.found import Found, best
from inference.retrieval.tally import greatest
from inference.retrieval.vectors import inverse_norms, quantise
from inference.types import Vector

FEW = 3
"""So many vectors are multiplied one by one: for a product of matrices BLAS copies the large one first, which only pays
for more of them. Either way the same bits come out."""

NO_ROWS: Rows = np.empty(0, dtype=np.intp)
NEWEST = 2000
"""New items that an approximate search compares one by one, beside those that it finds."""


class Request(NamedTuple):
    """The number of a vector in a batch, and whether only items count that nobody acted on yet."""

    vector: int
    unseen: bool = False


class NearestItems:
    """Searches the vectors in the catalogue's columns, exactly up to `exact_limit` items."""

    def __init__(self, exact_limit: int) -> None:
        self._exact_limit = exact_limit
        self._graph: NeighbourIndex | None = None
        self._unindexed: dict[int, None] = {}

    def changed(self, row: int) -> None:
        """Take note of a new vector in a row."""
        self._unindexed[row] = None

    def removed(self, row: int) -> None:
        """Forget a row."""
        self._unindexed.pop(row, None)
        if self._graph is not None:
            self._graph.remove(row)

    def build(self, columns: Columns, items: int, most: int) -> bool:
        """Add at most `most` of the catalogue's `items` to the approximate index; True while there is more to add."""
        if items <= self._exact_limit:
            return False
        if self._graph is None:
            self._graph = NeighbourIndex(columns.vectors.shape[1])
        rows = np.array(list(islice(self._unindexed, most)), dtype=np.intp)
        self._graph.add(rows, columns.vectors[rows].astype(np.float32))
        for row in rows.tolist():
            del self._unindexed[row]
        return bool(self._unindexed)

    def search(
        self, columns: Columns, used: int, vectors: Vector, requests: Sequence[Request], limit: int
    ) -> list[Found]:
        """Answer each request about `vectors` (n, dim) from the first `used` rows."""
        if not len(vectors):
            return []
        queries = quantise(vectors).astype(np.float32)
        if self._graph is None or self._unindexed:
            return _exactly(columns, used, queries, requests, limit)
        near = self._graph.search(queries, limit)
        unseen = _newest_unseen(columns, used) if any(request.unseen for request in requests) else NO_ROWS
        found = []
        for request in requests:
            rows = near[request.vector]
            rows = rows[columns.available[rows]]
            if request.unseen:
                rows = np.union1d(rows[~columns.seen[rows]], unseen)
            (scores,) = similarities(columns, queries[request.vector][None], rows)
            found.append(best(rows, scores, columns.keys, limit))
        return found


def _newest_unseen(columns: Columns, used: int) -> Rows:
    """Return the new items that came out last: a few of them among many old items would never be among the nearest."""
    rows = np.flatnonzero(columns.available[:used] & ~columns.seen[:used])
    return rows[greatest(NEWEST, columns.released[rows], columns.keys[rows])]


def _exactly(columns: Columns, used: int, queries: Vector, requests: Sequence[Request], limit: int) -> list[Found]:
    scores = similarities(columns, queries, slice(used))
    available = np.flatnonzero(columns.available[:used])
    rows_of = {False: available}
    found = []
    for request in requests:
        rows = rows_of.get(request.unseen)
        if rows is None:
            rows = rows_of[True] = available[~columns.seen[available]]
        found.append(best(rows, scores[request.vector][rows], columns.keys, limit))
    return found


def similarities(columns: Columns, queries: Vector, rows: Rows | slice) -> Vector:
    """Return the cosines (n, len(rows)) of integer-valued `queries` (n, dim) to the vectors in `rows`."""
    matrix = columns.vectors[rows].astype(np.float32)
    products = np.stack([matrix @ query for query in queries]) if len(queries) <= FEW else queries @ matrix.T
    norms = columns.inverse_norms[rows]
    return np.asarray(products * inverse_norms(queries)[:, None] * norms, dtype=np.float32)
