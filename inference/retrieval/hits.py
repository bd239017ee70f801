"""What the sources found for a batch of queries, as arrays that every source writes its part of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.retrieval.columns import Rows
from inference.types import Vector


class Found(NamedTuple):
    """Rows of the catalogue (n,) by falling score (n,), float32; ties by stable key."""

    rows: Rows
    scores: Vector


class Hits(NamedTuple):
    """Of each of n queries and each of S sources the available items found, best first, ties by stable key.

    Source s found the `counts[i, s]` first of `rows[i, s]` for query i.

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
        """How many items a source may bring for a query."""
        return int(self.rows.shape[2])

    def found(self, query: int, place: int) -> Found:
        """Return what the source in a place found for a query."""
        count = self.counts[query, place]
        return Found(self.rows[query, place, :count], self.scores[query, place, :count])


def no_hits(queries: int, sources: int, limit: int) -> Hits:
    """Return room for what `sources` find for a batch of `queries`; nothing is found yet."""
    shape = (queries, sources, limit)
    return Hits(
        np.empty(shape, dtype=np.int32),
        np.empty(shape, dtype=np.float32),
        np.zeros((queries, sources), dtype=np.int32),
    )
