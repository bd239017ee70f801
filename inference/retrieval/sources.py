"""Candidate sources: each proposes items for a query, by its own idea of what fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from inference.retrieval.catalogue import Catalogue, Found
from inference.types import Query, Vector

SHORT_TERM, LONG_TERM, QUERY, TRENDING = "short_term", "long_term", "query", "trending"


class CandidateSource(Protocol):
    """A way to find candidates."""

    @property
    def name(self) -> str:
        """What consumers read in `sources`."""
        ...

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Return up to `limit` available items for each query, or None where the source has nothing to go by."""
        ...


@dataclass(frozen=True, slots=True)
class VectorSource:
    """The items nearest to one of the query's vectors, by cosine: one matrix product for the whole batch."""

    name: str
    vector_of: Callable[[Query], Vector | None]

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Search for the queries that have the vector."""
        vectors = [self.vector_of(query) for query in queries]
        present = [vector for vector in vectors if vector is not None]
        found = iter(catalogue.search(np.stack(present), limit) if present else ())
        return [None if vector is None else next(found) for vector in vectors]


def ask(
    sources: Sequence[CandidateSource], queries: Sequence[Query], catalogue: Catalogue, limit: int
) -> list[list[Found | None]]:
    """Ask every source about every query; what each found, in the order of `sources`.

    Sources of vectors share one search: the catalogue's matrix is larger than the caches and is read only once.
    """
    vectors = [
        [source.vector_of(query) for query in queries] if isinstance(source, VectorSource) else None
        for source in sources
    ]
    present = [vector for column in vectors if column for vector in column if vector is not None]
    found = iter(catalogue.search(np.stack(present), limit) if present else ())
    return [
        source.retrieve(queries, catalogue, limit)
        if column is None
        else [None if vector is None else next(found) for vector in column]
        for source, column in zip(sources, vectors, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class TrendingSource:
    """The items that most shoppers act on now: the same for everyone."""

    name: str = TRENDING

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Return the most popular items that are available."""
        popular = catalogue.popular[catalogue.columns.available[catalogue.popular]][:limit]
        found = Found(popular, catalogue.columns.popularity[popular]) if len(popular) else None
        return [found] * len(queries)


@dataclass(frozen=True, slots=True)
class EverySource:
    """All available items, whatever the query: for candidates that somebody else chose."""

    name: str = "given"

    def retrieve(
        self,
        queries: Sequence[Query],
        catalogue: Catalogue,
        limit: int,  # noqa: ARG002 - the port's signature
    ) -> list[Found | None]:
        """Return the whole catalogue, limit or not."""
        rows = np.flatnonzero(catalogue.columns.available)
        return [Found(rows, np.zeros(len(rows), dtype=np.float32))] * len(queries)


SOURCES: dict[str, CandidateSource] = {
    SHORT_TERM: VectorSource(SHORT_TERM, lambda query: query.short_term),
    LONG_TERM: VectorSource(LONG_TERM, lambda query: query.long_term),
    QUERY: VectorSource(QUERY, lambda query: query.text_vector),
    TRENDING: TrendingSource(),
}
"""Every source by its name, in the order in which people would give the reason."""
