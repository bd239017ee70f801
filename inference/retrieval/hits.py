"""Retrieval results for a batch of queries: arrays to which each source writes its part."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.retrieval.columns import Rows
from inference.types import Vector


class Found(NamedTuple):
    """Results of one search: rows of the catalogue (n,) by falling score (n,), float32; ties by stable key."""

    rows: Rows
    scores: Vector


class Hits(NamedTuple):
    """The available items that each of S sources found for each of n queries, best first, ties by stable key.

    The results of source s for query i are the first `counts[i, s]` of `rows[i, s]`.

    Attributes:
        rows: rows of the catalogue, int32 (n, S, limit).
        scores: float32 (n, S, limit).
        counts: int32 (n, S).
    """

    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]

    @property
    def limit(self) -> int:
        """The greatest number of items that a source may find for a query."""
        return int(self.rows.shape[2])

    def found(self, query: int, place: int) -> Found:
        """Return the results of the source at a place for a query."""
        count = self.counts[query, place]
        return Found(self.rows[query, place, :count], self.scores[query, place, :count])


def no_hits(queries: int, sources: int, limit: int) -> Hits:
    """Return empty results of `sources` sources for a batch of `queries` queries."""
    shape = (queries, sources, limit)
    return Hits(
        np.empty(shape, dtype=np.int32),
        np.empty(shape, dtype=np.float32),
        np.zeros((queries, sources), dtype=np.int32),
    )
