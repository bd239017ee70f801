"""Approximate search for large catalogues: a usearch HNSW graph over the int8 vectors.

Malkov & Yashunin 2018, doi:10.1109/TPAMI.2018.2889473.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

import numpy as np
import numpy.typing as npt

from inference.types import Vector

OVERFETCH = 2
"""Neighbours asked for, as a multiple of those wanted: items out of stock are dropped afterwards."""


class NeighbourIndex:
    """Rows of the catalogue by the direction of their vector."""

    def __init__(self, dim: int) -> None:
        # ONNX Runtime 1.31 crashes the process when usearch 2.26 was loaded before it, so it has to come first.
        with suppress(ImportError):
            import_module("onnxruntime")
        from usearch.index import Index

        self._graph = Index(
            ndim=dim, metric="cos", dtype="i8", connectivity=16, expansion_add=128, expansion_search=128
        )

    def add(self, rows: npt.NDArray[np.intp], vectors: Vector) -> None:
        """Add or replace `rows` (n,) with integer-valued `vectors` (n, dim)."""
        for row in rows:
            self.remove(int(row))
        # One thread: with several, the graph would depend on their race.
        self._graph.add(rows.astype(np.uint64), vectors.astype(np.int8), threads=1)

    def remove(self, row: int) -> None:
        """Take a row out; nothing happens if it is not there."""
        if row in self._graph:
            self._graph.remove(row)

    def search(self, queries: Vector, limit: int) -> list[npt.NDArray[np.intp]]:
        """Return for each of `queries` (n, dim), integer-valued, the rows near to it, nearest first."""
        wanted = min(OVERFETCH * limit, len(self._graph))
        if not wanted:
            return [np.empty(0, dtype=np.intp)] * len(queries)
        return [np.asarray(self._graph.search(query.astype(np.int8), wanted).keys, dtype=np.intp) for query in queries]
