"""Approximate search for large catalogues: a usearch HNSW graph over the int8 vectors.

Malkov & Yashunin 2018, doi:10.1109/TPAMI.2018.2889473.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

import numpy as np

from inference.retrieval.columns import Rows
from inference.retrieval.vectors import Int8Vector

OVERFETCH = 2
"""Neighbours that are requested, as a multiple of those wanted: items out of stock are dropped afterwards."""


class NeighbourIndex:
    """Rows of the catalogue by the direction of their vector."""

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
            return np.empty(0, dtype=np.int32)
        return np.asarray(self._graph.search(vector, wanted).keys, dtype=np.int32)
