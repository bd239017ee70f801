"""Results of retrieval as arrays: the hits of each source, and the shortlists that are fused from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.placements import EVERYWHERE, Placement
from inference.queries import QueryBatch
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


@dataclass(frozen=True, slots=True, eq=False)
class Shortlists:
    """Candidates for a batch of queries, and the names of the sources, in the order of the candidates' columns.

    `placement` is the one that shows the lists.
    """

    queries: QueryBatch
    candidates: Candidates
    sources: tuple[str, ...]
    placement: Placement = EVERYWHERE

    def __len__(self) -> int:
        return len(self.queries)

    def own(self, number: int) -> slice:
        """Return the slice of one query's candidates."""
        start, end = self.candidates.starts[number : number + 2].tolist()
        return slice(start, end)

    def first(self, most: int) -> Shortlists:
        """Return the first `most` candidates of each query, or the first k if that is more."""
        parts = [self.own(place) for place in range(len(self))]
        counts = np.maximum(self.queries.records["k"], most).tolist()
        kept = [slice(each.start, min(each.stop, each.start + n)) for each, n in zip(parts, counts, strict=True)]
        return self._with(self.queries, kept)

    def take(self, places: Sequence[int]) -> Shortlists:
        """Return the shortlists of the queries at `places`, in their order."""
        return self._with(self.queries.take(places), [self.own(place) for place in places])

    def _with(self, queries: QueryBatch, parts: Sequence[slice]) -> Shortlists:
        given = self.candidates
        kept = np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(each.start, each.stop) for each in parts)])
        starts = np.cumsum([0, *(each.stop - each.start for each in parts)], dtype=np.int64)
        columns = (given.rows, given.fused, given.scores, given.ranks)
        return Shortlists(
            queries, Candidates(starts, *(column[kept] for column in columns)), self.sources, self.placement
        )

    def weights(self) -> Vector:
        """Return each candidate's weight at the placement, float32 (C,): the greatest of its sources, or else 1."""
        weights = np.array([self.placement.weights.get(name, 1.0) for name in self.sources], dtype=np.float32)
        proposed = self.candidates.ranks > 0
        # -1 stands for a source that did not propose the item. A candidate that no source proposed keeps -1 and counts
        # 1: one that fills up a filtered list may have none.
        greatest = np.where(proposed, weights, np.float32(-1)).max(axis=1, initial=-1)
        return np.where(greatest < 0, np.float32(1), greatest).astype(np.float32)
