"""Search of the items nearest to a vector: compares every item, or uses the approximate index for a large catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from typing import NamedTuple

import numpy as np

from inference.kernels.nearest import FOREMOST, Request, Scratch, Target, find_nearest, find_nearest_of_rows, vector_of
from inference.retrieval.columns import NO_ROWS, Columns, Rows
from inference.retrieval.matching import Matching
from inference.retrieval.shortlists import Hits
from inference.retrieval.vectors import Int8Vector
from inference.types import Vector

NEWEST = 2000
"""Number of new items that an approximate search compares one by one, beside those that it finds."""
OVERFETCH = 2
"""Neighbours that are requested, as a multiple of those wanted: items out of stock are dropped afterwards."""


class Vectors(NamedTuple):
    """The vectors of n queries, int8 (n, 3, dim), and 1 / ‖vector‖, float32 (n, 3), 0 for those that a query lacks."""

    integers: Int8Vector
    inverse_norms: Vector


class NearestItems:
    """The search of the vectors in the catalogue's columns, exact up to `exact_limit` items."""

    def __init__(self, exact_limit: int) -> None:
        self._exact_limit = exact_limit
        self._graph: NeighbourIndex | None = None
        self._unindexed: dict[int, None] = {}
        self._newest: Rows | None = None
        self._scratch: Scratch | None = None
        self._searched: tuple[int, tuple[Request, ...], int] | None = None

    def changed(self, row: int, *, moved: bool) -> None:
        """Register an item in a row, with `moved` if its vector has changed."""
        self._newest = None
        if moved:
            self._unindexed[row] = None

    def removed(self, row: int) -> None:
        """Remove a row."""
        self._newest = None
        self._unindexed.pop(row, None)
        if self._graph is not None:
            self._graph.remove(row)

    def aged(self) -> None:
        """Register that some items are no longer new."""
        self._newest = None

    def build(self, columns: Columns, items: int, most: int) -> bool:
        """Add at most `most` of the catalogue's `items` to the approximate index; return True while there are more."""
        if items <= self._exact_limit:
            return False
        if self._graph is None:
            self._graph = NeighbourIndex(columns.vectors.shape[1])
        rows = np.array(list(islice(self._unindexed, most)), dtype=np.int32)
        self._graph.add(rows, columns.vectors[rows])
        for row in rows.tolist():
            del self._unindexed[row]
        return bool(self._unindexed)

    def search(
        self,
        columns: Columns,
        used: int,
        queries: Vectors,
        requests: Sequence[Request],
        hits: Hits,
        matching: Matching | None = None,
    ) -> None:
        """Write the results of each request for all queries from the first `used` rows.

        With `matching`, only these rows are available. If they are few, each is compared, whatever the catalogue's
        size. Otherwise an approximate search requests more neighbours, as many as have enough matches among them.
        """
        vectors, inverse_norms = queries
        selected = None if matching is None else matching.rows
        # Compare every row of a small catalogue, and of a large one until its graph is complete: a search by the graph
        # would not find the items that it lacks.
        if selected is None and (self._graph is None or self._unindexed):
            scratch = self._memory(vectors.shape[2], tuple(requests), hits.limit)
            find_nearest(columns, used, vectors, inverse_norms, scratch, hits)
            return
        # Of the nearest rows about matching.number / used pass the filter, so request more by the inverse of this
        # share.
        wanted = hits.limit if matching is None else hits.limit * used // max(matching.number, 1)
        for query in range(len(vectors)):
            near: dict[int, Rows] = {}
            for slot, place in requests:
                present = vector_of(inverse_norms, query, slot)
                if present < 0:
                    continue
                vector = vectors[query, present]
                # Several requests may refer to one vector. The graph is searched once for it.
                if present not in near:
                    near[present] = self._candidates(vector, wanted) if selected is None else selected
                target = Target(vector, inverse_norms[query, present], slot == FOREMOST)
                rows = near[present]
                if target.only_new and selected is None:
                    # The union has each row once: the kernel writes every row that it is given.
                    rows = np.union1d(rows, self._newest_unseen(columns, used, matching))
                find_nearest_of_rows(columns, target, rows, hits, query, place)

    def _memory(self, dim: int, requests: tuple[Request, ...], limit: int) -> Scratch:
        """Return memory for a search. The memory of the search before fits nearly always, so it is used again."""
        if self._scratch is None or self._searched != (dim, requests, limit):
            self._scratch, self._searched = Scratch.of(dim, requests, limit), (dim, requests, limit)
        return self._scratch

    def _candidates(self, vector: Int8Vector, wanted: int) -> Rows:
        """Return the rows near to a vector, by the approximate index."""
        return NO_ROWS if self._graph is None else self._graph.search(vector, wanted)

    def _newest_unseen(self, columns: Columns, used: int, matching: Matching | None) -> Rows:
        """Return the new items with the latest release. A graph hardly finds few new items among many old ones."""
        if matching is not None:
            return _newest(columns, used)
        if self._newest is None:
            self._newest = _newest(columns, used)
        return self._newest


def _newest(columns: Columns, used: int) -> Rows:
    rows = np.flatnonzero(columns.available[:used] & ~columns.seen[:used]).astype(np.int32)
    if len(rows) > NEWEST:
        rows = rows[np.lexsort((columns.keys[rows], columns.released[rows]))[-NEWEST:]]
    return rows


class NeighbourIndex:
    """Approximate search: a usearch HNSW graph of the rows' int8 vectors.

    Malkov & Yashunin 2018, doi:10.1109/TPAMI.2018.2889473.
    """

    def __init__(self, dim: int) -> None:
        # ONNX Runtime 1.31 crashes the process if usearch 2.26 was loaded before it, so it is imported first.
        with suppress(ImportError):
            import_module("onnxruntime")
        from usearch.index import Index

        self._graph = Index(
            ndim=dim, metric="cos", dtype="i8", connectivity=16, expansion_add=128, expansion_search=128
        )

    def add(self, rows: Rows, vectors: Int8Vector) -> None:
        """Add or replace `rows` (n,) with int8 `vectors` (n, dim)."""
        for row in rows:
            self.remove(int(row))
        # One thread: with several threads the graph would depend on their timing.
        self._graph.add(rows.astype(np.uint64), vectors, threads=1)

    def remove(self, row: int) -> None:
        """Remove a row, if it is in the graph."""
        if row in self._graph:
            self._graph.remove(row)

    def search(self, vector: Int8Vector, limit: int) -> Rows:
        """Return the rows near to an int8 vector (dim,), nearest first."""
        wanted = min(OVERFETCH * limit, len(self._graph))
        if not wanted:
            return NO_ROWS
        return np.asarray(self._graph.search(vector, wanted).keys, dtype=np.int32)
