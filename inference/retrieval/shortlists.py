"""Retrieval for a batch: runs every source and merges their results into one shortlist for each query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.kernels.fusion import RRF_OFFSET, fuse
from inference.placements import EVERYWHERE, Placement
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.catalogue_sources import VectorSource
from inference.retrieval.hits import Candidates, Hits, no_hits
from inference.retrieval.restrictions import Restrictions
from inference.retrieval.sources import CandidateSource

__all__ = ["RRF_OFFSET", "Candidates", "Shortlists", "find", "merge", "retrieve"]

ALL = 2**31 - 1
"""Limit above the number of candidates of any query."""


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


def retrieve(
    sources: Sequence[CandidateSource], batch: QueryBatch, catalogue: Catalogue, limit: int, most: int | None = None
) -> Shortlists:
    """Return the candidates of a batch: from each source at most `limit`, for each query the first `most`.

    A query whose k is greater gets k candidates. `most` None keeps all that the sources found.

    Queries with filters get candidates that pass them, and k of them if the catalogue has so many. The sources run once
    for each set of filters, on a view of the catalogue in which only the matching items are available.
    """
    names = tuple(source.name for source in sources)
    if not batch.filters:
        return merge(names, batch, catalogue, find(sources, batch, catalogue, limit), most)
    restrictions = Restrictions.of(batch, catalogue)
    hits = no_hits(len(batch), len(sources), limit)
    for places, matching in restrictions.groups:
        view = catalogue if matching is None else catalogue.restricted(matching)
        found = find(sources, batch if len(places) == len(batch) else batch.take(places), view, limit)
        for array, part in zip(hits, found, strict=True):
            array[places] = part
    shortlists = merge(names, batch, catalogue, hits, most)
    return Shortlists(batch, restrictions.filled(shortlists.candidates, batch, catalogue, names), names)


def find(sources: Sequence[CandidateSource], batch: QueryBatch, catalogue: Catalogue, limit: int) -> Hits:
    """Return the results of each source for each query. Vector sources share one search of the items."""
    hits = no_hits(len(batch), len(sources), limit)
    searches = []
    for place, source in enumerate(sources):
        if isinstance(source, VectorSource):
            searches.append((source.vector, place))
        else:
            source.retrieve(batch, catalogue, hits, place)
    if searches:
        catalogue.search_batch(batch, searches, hits)
    return hits


def merge(
    names: tuple[str, ...], batch: QueryBatch, catalogue: Catalogue, hits: Hits, most: int | None = None
) -> Shortlists:
    """Return the fused results of the sources with these names, without the items that each query excludes."""
    counts = np.maximum(batch.records["k"].astype(np.int64), ALL if most is None else most)
    columns, excluded = catalogue.columns, (batch.exclude, batch.exclude_starts)
    candidates = fuse(batch.records, hits, catalogue.table, columns.keys, *excluded, counts)
    return Shortlists(batch, Candidates(*candidates), names)
