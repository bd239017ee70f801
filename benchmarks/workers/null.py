"""A recommender that does not rank: every event gets the same list, so only the cost of everything else remains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from inference.pipeline import Recommender
from inference.ranking.lists import Lists
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Shortlists
from inference.types import Because, Item
from streams.worker.service import Worker


def without_ranking(worker: Worker) -> None:
    """Replace the worker's recommender with the null recommender."""
    now = worker.slots.current
    own = now.scoring.recommender
    ranks = NullRecommender(own.catalogue, now.bundle.scorer, worker.settings.retrieval.list_size)
    worker.slots.current = replace(now, scoring=replace(now.scoring, recommender=ranks))


class NullRecommender(Recommender):
    """A recommender that returns the same list for every query."""

    def __init__(self, catalogue: Catalogue, scorer: Any, size: int) -> None:
        super().__init__(catalogue, scorer, ())
        self._items = [_item(number) for number in range(size)]
        self._because = [Because("similar", "1", item.title, None, "view", None, 0.5) for item in self._items]

    def rank(self, shortlists: Shortlists) -> Lists:
        """Return the same list for each query."""
        lists, size = len(shortlists), len(self._items)
        return Lists(
            starts=np.arange(lists + 1, dtype=np.int64) * size,
            rows=np.zeros(lists * size, dtype=np.int32),
            scores=np.full(lists * size, 0.5),
            sources=[("short_term", "long_term")] * (lists * size),
            because=self._because * lists,
            items=self._items * lists,
        )


def _item(number: int) -> Item:
    return Item(item_id=str(10_000 + number), title=f"Something to eat, no. {number}")
