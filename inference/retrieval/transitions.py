"""Items that co-occur with the items of the shopper's session in the sessions of all shoppers.

Item-to-item neighbours as in Sarwar, Karypis, Konstan & Riedl 2001, doi:10.1145/371920.372071, learned one event at a
time. With c(i, j) = before_i[j] + before_j[i], the weight of the transitions between two items in either direction,
decayed to the time of j, and m(j), the weight of all actions on j,

    share(i | j) = c(i, j) / (m(j) + 1),    score(i) = min(1, Σ_j α_j share(i | j) / Σ_j α_j)

over the session's items j, the newest first with α = 1, 1/2, 1/3, … The 1 is the weight of one action: a single
occurrence is weak evidence. The source `next` does the same for the last item alone, and items acted on after it count
double: sequential rules, as in Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.kernels.cooccurrence_read import (
    EVERY_PAIR,
    ListedItems,
    PartnerScratch,
    Rule,
    find_partners,
    vote_by_transitions,
)
from inference.kernels.votes import EVIDENCE, ItemNumbers
from inference.queries import RECENT, Queries, QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.cooccurrence import LIMITS, Cooccurrence, Limits, weighted_records
from inference.retrieval.shortlists import Hits
from inference.retrieval.sources import NEXT, TOGETHER
from inference.types import ItemNeighbours, Keys


class ItemTransitions:
    """Transitions between items, from the items' newest records."""

    def __init__(self, numbers: ItemNumbers, limits: Limits = LIMITS, *, claimed_above: float | None = None) -> None:
        """`partners` claims pairs with a greater weight than `claimed_above` in one of their directions; None: all."""
        self._numbers = numbers
        self._cooccurrence = Cooccurrence(numbers, numbers, limits)
        self._claims, self._claimed_above, self._learned = EVERY_PAIR, claimed_above, 0

    def __len__(self) -> int:
        return len(self._cooccurrence)

    def learn(self, records: Sequence[ItemNeighbours]) -> None:
        """Store records, each in place of the item's older one. A record without weight deletes the item."""
        self._cooccurrence.learn(weighted_records(records, [record.before for record in records]))
        self._learned += len(records)
        # A pass over all records costs little once for as many new ones. Nothing is claimed before the first pair.
        is_first = not self._claims.expected and any(record.before for record in records)
        if self._claimed_above is not None and (is_first or self._learned >= len(self)):
            self._learned, self._claims = 0, self._cooccurrence.claims(self._claimed_above)

    def partners(self, queries: Queries, starts: npt.NDArray[np.int64], keys: Keys) -> Keys:
        """Return for each of `keys` (L,) the query's item with which it co-occurs most often, (L,); 0 if there is none.

        A pair counts if its weight proves enough shoppers, and if it occurs more often than by chance.

        The keys of query i are `keys[starts[i]:starts[i + 1]]`. The items of a query are those of the session, or at
        its start those remembered from earlier ones. Of equally frequent items it is the one with the greatest key.
        """
        number = len(keys)
        lists = ListedItems(starts, keys, np.zeros(number, dtype=np.uint64), np.empty(number, dtype=np.int32))
        scratch = PartnerScratch(np.empty((number, RECENT)), np.empty((number, RECENT)))
        find_partners(queries, self._numbers.table, self._cooccurrence.table, lists, self._claims, scratch)
        return lists.partners

    def vote(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int, rule: Rule) -> None:
        """Write the items that co-occur with the items of each query."""
        numbers = self._numbers
        results = catalogue.results(numbers, hits, place)
        vote_by_transitions(batch.records, numbers.table, self._cooccurrence.table, rule, numbers.votes, results)


@dataclass(frozen=True, slots=True)
class TransitionsSource:
    """The items that co-occur with the newest `most` of the session; items acted on before them count `backwards`."""

    transitions: ItemTransitions
    name: str = TOGETHER
    most: int = EVIDENCE
    backwards: float = 1.0

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items that co-occur with each query's items, without those items."""
        self.transitions.vote(batch, catalogue, hits, place, Rule(self.most, self.backwards))


def make_source(name: str, transitions: ItemTransitions) -> TransitionsSource:
    """Return one of the sources over the learned transitions."""
    if name == NEXT:
        return TransitionsSource(transitions, NEXT, most=1, backwards=0.5)
    return TransitionsSource(transitions)
