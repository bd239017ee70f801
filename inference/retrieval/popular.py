"""What is popular: with everyone, and in the categories that the shopper is after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.port import TRENDING, TRENDING_CATEGORY, Nearest
from inference.types import Query

CATEGORIES = 5
"""Categories of a shopper that are looked at, the strongest."""


@dataclass(frozen=True, slots=True)
class TrendingSource:
    """The items that most shoppers act on now: the same for everyone."""

    name: str = TRENDING
    nearest: Nearest | None = None

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Return the most popular items that are available."""
        popular = catalogue.popular[catalogue.columns.available[catalogue.popular]][:limit]
        found = Found(popular, catalogue.columns.popularity[popular]) if len(popular) else None
        return [found] * len(queries)


@dataclass(frozen=True, slots=True)
class TrendingCategorySource:
    """What trends in the shopper's own categories.

    With a(c), the shopper's affinity to a category, and p(i), the item's popularity among all shoppers,
    score(i) = a(c) p(i) / max p in c.
    """

    name: str = TRENDING_CATEGORY
    nearest: Nearest | None = None

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Return the most popular available items of each query's strongest categories."""
        columns = catalogue.columns
        popular = catalogue.popular[columns.available[catalogue.popular]]
        labels, popularity = columns.categories[popular], columns.popularity[popular]

        def found(query: Query) -> Found | None:
            scores = np.zeros(len(popular), dtype=np.float32)
            for label, affinity in _strongest(query):
                places = np.flatnonzero(labels == label)
                # No category is 0. The rows come by falling popularity, so the first is the category's greatest.
                if label and len(places):
                    scores[places] = min(affinity, 1.0) * popularity[places] / popularity[places[0]]
            held = np.flatnonzero(scores > 0)
            return catalogue.best(popular[held], scores[held], limit) if len(held) else None

        return [found(query) for query in queries]


def _strongest(query: Query) -> list[tuple[int, float]]:
    return nlargest(CATEGORIES, query.categories.items(), key=lambda entry: (entry[1], entry[0]))
