"""The interface of candidate sources."""

from __future__ import annotations

from typing import Protocol

from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.hits import Hits


class CandidateSource(Protocol):
    """A source of candidates for a batch of queries."""

    @property
    def name(self) -> str:
        """The name that consumers read in `sources`."""
        ...

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items that the source finds for each query of the batch to its `place` of the hits.

        It writes at most `hits.limit` available items, best first, ties by stable key. It writes none for a query
        without the data that the source needs.
        """
        ...
