"""The items of similar shoppers' baskets: what those who buy the same also buy.

The idea is that of TIFU-kNN (Hu et al. 2020, doi:10.1145/3397271.3401066) and UP-CF@r (Faggioli, Polato & Aiolli 2020,
doi:10.1145/3340631.3394850): recent purchases of the most similar shoppers, by vectors of what each one buys. A worker
has the habits of its own shoppers only. So it compares the habits of the query with the sessions of all shoppers, which
every worker has for the source `sessions`. With w_i, the decayed purchases of item i by the query's shopper,

    sim(v) = Σ_i w_i idf(i) n_i(v) / √(items of v)
    score(j) = Σ_v sim(v) recent_j(v) / Σ_v sim(v)

over the NEIGHBOURS most similar shoppers v. n_i(v) is the number of v's sessions with item i, among the NEWEST sessions
with the item, and recent_j(v) the share of v's sessions with item j; a session counts half after HALF_LIFE_DAYS. Of one
shopper the EACH sessions are read that are found first, and an item needs the votes of `min_shoppers` distinct
shoppers. idf(i) = ln(1 + sessions / sessions with i).

The query does not say who the shopper is, so the shopper's own sessions vote as well. The other part of TIFU-kNN, the
shopper's own vector, is the source `repeat`; the ranker weighs both.
"""

from __future__ import annotations

from inference.kernels.basket_knn import Rules, Scratch, scratch, vote_by_baskets
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sessions import Sessions
from inference.retrieval.shortlists import Hits
from inference.retrieval.sources import BASKET

NEWEST = 150
EACH = 8
NEIGHBOURS = 50
HALF_LIFE_DAYS = 30.0
DAY_MS = 86_400e3


class BasketSource:
    """The items of similar shoppers, by the sessions that `sessions` keeps. Not thread-safe."""

    name = BASKET

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._scratch = self._scratch_for(0)

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items of the shoppers most similar to each query's shopper, by habits."""
        table, numbers = self._sessions.table, self._sessions.numbers
        if len(self._scratch.next) < len(table.lengths):
            self._scratch = self._scratch_for(len(table.lengths))
        results = catalogue.results(numbers, hits, place)
        vote_by_baskets(batch.records, numbers.table, table, self._scratch, numbers.votes, results)

    @staticmethod
    def _scratch_for(slots: int) -> Scratch:
        return scratch(Rules(NEWEST, EACH, HALF_LIFE_DAYS * DAY_MS), NEIGHBOURS, slots)


def make_source(_name: str, sessions: Sessions) -> BasketSource:
    """Return the source over the learned sessions."""
    return BasketSource(sessions)
