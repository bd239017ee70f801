"""The items that stood beside the session's items in the shopper's own earlier sessions.

A shopper who orders again often repeats a part of an earlier order, in its sequence. Of the sessions that the source
`sessions` keeps, those of the query's shopper vote. For the session's items i, the newest first with α = 1, 1/2, 1/3,
…, and d_n(i, j) the steps between two items of session n,

    v(j) = Σ_n Σ_i α_i / d_n(i, j),    score(j) = v(j) / (1 + v(j))

Nobody else gets these items by these votes, so they need no other shoppers (`INTENTSTREAM_MIN_SHOPPERS`). The present
session votes as well, as far as it is published, but only for its own items, which no list shows.
"""

from __future__ import annotations

from inference.kernels.own_sessions import vote_by_own_sessions
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sessions import Sessions
from inference.retrieval.shortlists import Hits
from inference.retrieval.sources import OWN


class OwnSessions:
    """The items beside the session's items in the shopper's own sessions. Not thread-safe."""

    name = OWN

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items beside each query's items in the earlier sessions of its shopper."""
        numbers = self._sessions.numbers
        results = catalogue.results(numbers, hits, place)
        vote_by_own_sessions(batch.records, numbers.table, self._sessions.table, numbers.votes, results)


def make_source(_name: str, sessions: Sessions) -> OwnSessions:
    """Return the source over the learned sessions."""
    return OwnSessions(sessions)
