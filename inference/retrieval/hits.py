"""Results of retrieval as arrays: the hits of each source, and the candidates that are fused from them."""

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


class Candidates(NamedTuple):
    """Candidates of n queries, C in all, as kernels read them.

    Those of query i are `starts[i]:starts[i + 1]`, in retrieval order: by falling fused score, ties by stable key.

    Attributes:
        starts: int64 (n + 1,).
        rows: rows of the catalogue, int32 (C,).
        fused: the fused score of each, float32 (C,).
        scores: the score in each source, float32 (C, sources); 0 if the source did not propose the item.
        ranks: 1 / the rank in each source, float32 (C, sources); 0 if the source did not propose the item.
    """

    starts: npt.NDArray[np.int64]
    rows: Rows
    fused: Vector
    scores: Vector
    ranks: Vector
