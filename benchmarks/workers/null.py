"""A recommender that ranks nothing: everyone gets the same list, so that the cost of everything else is left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inference.pipeline import Recommender
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlist import Shortlist, merge
from inference.types import Item, Query, RankedList, ScoredCandidate
from streams.worker.service import Worker


def without_ranking(worker: Worker) -> None:
    """Put the null recommender in the place of the worker's own."""
    now = worker.serving.now
    own = now.scoring.recommender
    ranks = NullRecommender(own.catalogue, now.bundle.scorer, worker.settings.list_size)
    worker.serving.now = replace(now, scoring=replace(now.scoring, recommender=ranks))


class NullRecommender(Recommender):
    """Gives everyone one list, made once."""

    def __init__(self, catalogue: Catalogue, scorer: Any, size: int) -> None:
        super().__init__(catalogue, scorer, ())
        self._list = RankedList(tuple(_candidate(number) for number in range(size)))

    def retrieve(self, queries: Any) -> list[Shortlist]:
        """Find nothing."""
        return merge([Query()] * len(queries), {}, self.catalogue)

    def rank(self, shortlists: Any) -> list[RankedList]:
        """Return the list for each."""
        return [self._list] * len(shortlists)


def _candidate(number: int) -> ScoredCandidate:
    item = Item(item_id=str(10_000 + number), title=f"Something to eat, no. {number}")
    return ScoredCandidate(item, 0.5, ("short_term", "long_term"), f"because you viewed {item.title}")
