"""Sources that say what speaks for which items: what they all say about all queries is added up at once.

For few items the calls cost more than the sums, so there is one for many queries, not one for each of many.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

import numpy as np

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.found import Found, Offers
from inference.retrieval.tally import Sums, whose
from inference.types import NO_KEYS, Keys, Query

RUN = 64
"""Queries that are answered at once at the most: memory grows by their number times that of the items found."""
NO_OFFERS = Offers(np.empty(0, dtype=np.intp), NO_KEYS, np.empty(0))


class OffersSource(ABC):
    """A source that makes offers."""

    __slots__ = ()

    nearest: ClassVar[None] = None

    @abstractmethod
    def offers(self, queries: Sequence[Query]) -> Offers:
        """Return what speaks for items as answers to the queries."""

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Return up to `limit` available items for each query, or None where nothing speaks for any."""
        return add_up([self], queries, catalogue, limit)[0]


def add_up(
    sources: Sequence[OffersSource], queries: Sequence[Query], catalogue: Catalogue, limit: int
) -> list[list[Found | None]]:
    """Return what each source finds. To the catalogue each pair of a source and a query is a query of its own."""
    columns: list[list[Found | None]] = [[] for _ in sources]
    for start in range(0, len(queries), RUN):
        run = queries[start : start + RUN]
        offers = _joined([source.offers(run) for source in sources], len(run))
        found = iter(catalogue.offer(offers, len(sources) * len(run), limit))
        for column in columns:
            column.extend(islice(found, len(run)))
    return columns


def offers_of(answers: Sequence[tuple[Keys, Sums]]) -> Offers:
    """Return the keys (n,) of items and the weights (n,) that speak for them, given query by query, as offers."""
    return Offers(
        whose([len(keys) for keys, _ in answers]),
        np.concatenate([NO_OFFERS.keys, *(keys for keys, _ in answers)]),
        np.concatenate([NO_OFFERS.weights, *(weights for _, weights in answers)]),
    )


def _joined(offers: Sequence[Offers], number: int) -> Offers:
    """Return several offers for the same `number` queries as one, the queries of each numbered after the last one's."""
    return Offers(
        np.concatenate([NO_OFFERS.queries, *(each.queries + place * number for place, each in enumerate(offers))]),
        np.concatenate([NO_OFFERS.keys, *(each.keys for each in offers)]),
        np.concatenate([NO_OFFERS.weights, *(each.weights for each in offers)]),
    )
