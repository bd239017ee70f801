"""What shoppers acted on after a search, remembered for the same search and for near ones.

The remembered searches r nearest to a search q count with sim(q, q) = 1 and else sim(q, r) = BM25 of r for the words of
q, as a share of the greatest within reach (`sparse.py`): rare words that both have make them near. With w(r, i), the
weight of the actions on item i after r, decayed to the newest record among them,

    score(i) = Σ_r sim(q, r) w(r, i) / (Σ_r Σ_j sim(q, r) w(r, j) + 1)

The 1 is one action's weight: a search that led somewhere once says less than one that led there a hundred times. Clicks
as evidence of what a query is after: Joachims 2002, doi:10.1145/775047.775067; also for queries near to it: Craswell &
Szummer 2007, doi:10.1145/1277741.1277784.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.encoding.text import remembered_query
from inference.retrieval.found import Offers
from inference.retrieval.offers import OffersSource, offers_of
from inference.retrieval.port import CLICKED
from inference.retrieval.relations import Relations
from inference.retrieval.sparse import SparseIndex, document
from inference.retrieval.tally import Sums, greatest
from inference.retrieval.tokens import words
from inference.types import NO_KEYS, ItemNeighbours, Keys, Query, stable_key

CAPACITY = 200_000
WIDTH = 8
HALF_LIFE_MS = 60 * 86_400e3
NEAR = 20
"""Remembered searches that a search may draw on, beside the same one."""
NEAR_ENOUGH = 0.1
ONE_ACTION = 1.0
NO_SHARES: tuple[Keys, Sums] = (NO_KEYS, np.empty(0))


class Clicked:
    """Searches and the items acted on after them, from the items' newest records."""

    def __init__(self, *, capacity: int = CAPACITY, width: int = WIDTH, half_life_ms: float = HALF_LIFE_MS) -> None:
        self._relations = Relations(capacity, width, half_life_ms, appeared=self._remember, vanished=self._forget)
        self._texts: dict[int, str] = {}
        self._numbers: dict[int, int] = {}
        self._free: list[int] = []
        self._searches: Keys = np.zeros(0, dtype=np.uint64)
        self._index = SparseIndex()

    def __len__(self) -> int:
        return len(self._relations)

    @property
    def searches(self) -> int:
        """How many different searches are remembered."""
        return len(self._numbers)

    def learn(self, record: ItemNeighbours) -> None:
        """Take over an item's record in the place of its older one; one without mass forgets the item."""
        if record.mass <= 0:
            self._relations.forget(record.key)
            return
        texts = {stable_key(text): text for text in record.queries}
        fresh = {search: text for search, text in texts.items() if search not in self._texts}
        self._texts |= fresh
        weights = {search: record.queries[text] for search, text in texts.items()}
        self._relations.replace(record.key, record.as_of_ms, record.mass, weights)
        for search in fresh:
            if search not in self._numbers:
                del self._texts[search]

    def near(self, text: str) -> tuple[Keys, Sums]:
        """Return remembered searches (n,) near to a normalised one, by stable key, and how near each is, in (0, 1]."""
        same = stable_key(text)
        matches = self._index.search(words(text))
        searches = self._searches[matches.documents]
        kept = np.flatnonzero((matches.shares >= NEAR_ENOUGH) & (searches != same))
        kept = kept[greatest(NEAR, matches.shares[kept], searches[kept])]
        kept = kept[np.argsort(searches[kept])]
        if same not in self._numbers:
            return searches[kept], matches.shares[kept]
        first = np.array([same], dtype=np.uint64)
        return np.concatenate([first, searches[kept]]), np.concatenate([np.ones(1), matches.shares[kept]])

    def shares(self, text: str) -> tuple[Keys, Sums]:
        """Return items (n,), some more than once, and the share of the remembered weight that each has, (n,)."""
        relations = self._relations
        searches, similarities = self.near(text)
        places, near = relations.holders(searches.tolist())
        if not len(places):
            return NO_SHARES
        slots = places // relations.width
        factors = relations.decay(slots, relations.as_of_ms[slots].max())
        weights = relations.weights.ravel()[places] * factors * similarities[near]
        # Sorted, because a sum of floats depends on the order.
        return relations.keys[slots], weights / (np.sort(weights).sum() + ONE_ACTION)

    def _remember(self, search: int) -> None:
        number = self._numbers[search] = self._free.pop() if self._free else len(self._searches)
        if number == len(self._searches):
            self._searches = np.concatenate([self._searches, np.zeros(max(number, 256), dtype=np.uint64)])
            self._free.extend(range(len(self._searches) - 1, number, -1))
        self._searches[number] = search
        self._index.add(number, document([(1.0, words(self._texts[search]))]))

    def _forget(self, search: int) -> None:
        number = self._numbers.pop(search)
        self._index.remove(number, document([(1.0, words(self._texts.pop(search)))]))
        self._free.append(number)


@dataclass(frozen=True, slots=True)
class ClickedSource(OffersSource):
    """What others acted on after the shopper's search, or one near to it."""

    clicked: Clicked
    name: str = CLICKED

    def offers(self, queries: Sequence[Query]) -> Offers:
        """Look up the searches among the queries."""
        return offers_of(
            [self.clicked.shares(remembered_query(query.text)) if query.text else NO_SHARES for query in queries]
        )
