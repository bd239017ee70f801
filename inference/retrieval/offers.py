"""Sources that say what speaks for which items, over a batch of queries as records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from inference.kernels.nearest import find_best
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.found import Offers
from inference.retrieval.hits import Hits
from inference.retrieval.tally import Sums, pairs_of, totals, whose
from inference.types import NO_KEYS, Keys, Query, Remembered

NO_OFFERS = Offers(np.empty(0, dtype=np.intp), NO_KEYS, np.empty(0))


class OffersSource(ABC):
    """A source that makes offers."""

    __slots__ = ()

    @abstractmethod
    def offers(self, queries: Sequence[Query]) -> Offers:
        """Return what speaks for items as answers to the queries."""

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Add up what speaks for each available item, at most to 1, and write the best of each query."""
        offers = self.offers([_query(batch, number) for number in range(len(batch))])
        rows, is_known = catalogue.rows_of(offers.keys)
        (known,) = is_known.nonzero()
        pairs, places = pairs_of(offers.queries[known], rows[known].astype(np.intp), catalogue.columns.keys)
        sums = totals(places, offers.weights[known], len(pairs.queries))
        for query in range(len(batch)):
            (own,) = ((pairs.queries == query) & (sums >= 0)).nonzero()
            found, scores = pairs.rows[pairs.places[own]], np.minimum(sums[own], 1.0)
            columns = catalogue.columns
            find_best(columns.keys, columns.available, found, scores, hits, query, place)


def _query(batch: QueryBatch, number: int) -> Query:
    record = batch.records[number]
    return Query(
        text=batch.texts[number],
        session=record["session"][: record["session_length"]],
        recent=tuple(Remembered(key, "") for key in record["recent"][: record["recent_length"]].tolist()),
    )


def offers_of(answers: Sequence[tuple[Keys, Sums]]) -> Offers:
    """Return the keys (n,) of items and the weights (n,) that speak for them, given query by query, as offers."""
    return Offers(
        whose([len(keys) for keys, _ in answers]),
        np.concatenate([NO_OFFERS.keys, *(keys for keys, _ in answers)]),
        np.concatenate([NO_OFFERS.weights, *(weights for _, weights in answers)]),
    )
