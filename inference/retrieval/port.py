"""The port of candidate sources."""

from __future__ import annotations

from typing import Protocol

from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.hits import Hits


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
