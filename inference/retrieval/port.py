"""The port of candidate sources, and their names as consumers read them."""

from __future__ import annotations

from typing import Protocol

from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.hits import Hits

SHORT_TERM, LONG_TERM, QUERY, TRENDING = "short_term", "long_term", "query", "trending"
TOGETHER, NEXT, SESSIONS, REPEAT = "together", "next", "sessions", "repeat"
TRENDING_CATEGORY, NEW, WORDS, CLICKED = "trending_category", "new", "words", "clicked"


class CandidateSource(Protocol):
    """Proposes items for a batch of queries."""

    @property
    def name(self) -> str:
        """What consumers read in `sources`."""
        ...

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write what the source finds for each query of the batch to its `place` of the hits.

        It finds at most `hits.limit` available items, best first, ties by stable key; none where it has nothing to go
        by.
        """
        ...
