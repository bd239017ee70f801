"""What is popular: with everyone, and in the categories that the shopper is after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.found import best_of_each
from inference.retrieval.port import TRENDING, TRENDING_CATEGORY, Nearest
from inference.retrieval.tally import Pairs, inverse, spread, whose
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
        # By falling popularity within a category: the first is the category's greatest.
        popular = popular[columns.categories[popular].argsort(kind="stable")]
        labels, popularity = columns.categories[popular], columns.popularity[popular]
        strongest = [_strongest(query) for query in queries]
        wanted = whose([len(each) for each in strongest])
        asked = np.array([label for each in strongest for _, label in each], dtype=np.uint64)
        affinities = np.array([affinity for each in strongest for affinity, _ in each], dtype=np.float32)
        firsts = labels.searchsorted(asked)
        numbers, ranks = spread(labels.searchsorted(asked, side="right") - firsts)
        firsts = firsts[numbers]
        places = firsts + ranks
        scores = affinities[numbers] * popularity[places] / popularity[firsts]
        held = scores > 0
        order = columns.keys[popular].argsort()
        pairs = Pairs(popular[order], wanted[numbers][held], inverse(order)[places[held]])
        return best_of_each(pairs, scores[held], len(queries), limit)


def _strongest(query: Query) -> list[tuple[float, int]]:
    """Return affinity, at most 1, and label of the strongest categories. No category is 0."""
    strongest = sorted(zip(query.categories.values(), query.categories, strict=True), reverse=True)[:CATEGORIES]
    return [(min(affinity, 1.0), label) for affinity, label in strongest if label]
