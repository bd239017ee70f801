"""Items that shoppers acted on after a search, for the same search and for similar ones.

The searches r most similar to a search q count by sim(q, r). It is 1 for q itself. Otherwise it is BM25 of r for the
words of q, as a share of the greatest possible score (`word_index.py`), so rare words in common make searches similar.
With w(r, i), the weight of the actions on item i after r, decayed to the newest of these records,

    score(i) = Σ_r sim(q, r) w(r, i) / (Σ_r Σ_j sim(q, r) w(r, j) + 1)

The 1 is the weight of one action: a search that led to an item once is weaker evidence than one that led to it a
hundred times. Clicks as evidence of a query's intent: Joachims 2002, doi:10.1145/775047.775067; also for similar
queries: Craswell & Szummer 2007, doi:10.1145/1277741.1277784.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from inference.encoding.text import remembered_query
from inference.kernels.cooccurrence_read import read_lists
from inference.kernels.votes import write_votes
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.cooccurrence import CAPACITY, HALF_LIFE_MS, Cooccurrence, Limits, weighted_records
from inference.retrieval.hits import Hits
from inference.retrieval.numbers import ItemNumbers, KeyNumbers
from inference.retrieval.search_records import SearchRecords
from inference.retrieval.sources import CLICKED
from inference.retrieval.tokens import words
from inference.retrieval.word_index import SparseIndex, document
from inference.types import ItemNeighbours, stable_key

if TYPE_CHECKING:
    from inference.retrieval.behaviour import Behaviour

WIDTH = 8
NEAR = 20
"""Number of similar searches that count, beside the same one."""
NEAR_ENOUGH = 0.1
ONE_ACTION = 1.0


class ClickedItems(NamedTuple):
    """Numbers of items (n,), which may repeat, and their shares of the remembered weight, (n,)."""

    items: npt.NDArray[np.int32]
    shares: npt.NDArray[np.float64]


NONE_CLICKED = ClickedItems(np.empty(0, dtype=np.int32), np.empty(0))


class Clicked:
    """Searches and the items acted on after them, from the items' newest records; also the source of these items.

    Not thread-safe.
    """

    name = CLICKED

    def __init__(self, numbers: ItemNumbers, *, capacity: int = CAPACITY, half_life_ms: float = HALF_LIFE_MS) -> None:
        self._item_numbers, self._searches, self._half_life_ms = numbers, KeyNumbers(), half_life_ms
        limits = Limits(capacity=capacity, width=WIDTH, half_life_ms=half_life_ms)
        self._cooccurrence = Cooccurrence(numbers, self._searches, limits, track_changes=True)
        self._texts: dict[int, str] = {}
        self._index = SparseIndex()

    def __len__(self) -> int:
        return len(self._cooccurrence)

    @property
    def searches(self) -> int:
        """The number of different searches that are remembered."""
        return len(self._texts)

    def learn(self, records: Sequence[ItemNeighbours]) -> None:
        """Store records, each in place of the item's older one. A record without weight deletes the item."""
        keys = {text: stable_key(text) for record in records for text in record.queries}
        weights = [{keys[text]: weight for text, weight in record.queries.items()} for record in records]
        texts = {key: text for text, key in keys.items()}
        for key, number, has_appeared in self._cooccurrence.learn(weighted_records(records, weights)):
            if has_appeared:
                self._texts[key] = texts[key]
                self._index.add(number, document([(1.0, words(texts[key]))]))
            else:
                self._index.remove(number, document([(1.0, words(self._texts.pop(key)))]))

    def copy_records(self) -> SearchRecords:
        """Return a copy of all remembered searches with their items, to be read in another thread."""
        table = self._cooccurrence.table
        entries = table.newest.table.entries
        return SearchRecords(
            texts=dict(self._texts),
            search_keys=self._searches.table.entries["key"].copy(),
            item_keys=np.where(entries["references"] > 0, entries["key"], np.uint64(0)),
            at_ms=table.newest.slots["at_ms"].copy(),
            related=table.related.copy(),
            weights=table.weights.copy(),
            half_life_ms=self._half_life_ms,
        )

    def similar_searches(self, text: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Return the numbers (n,) of remembered searches similar to a normalised one, and the similarities, in (0, 1].

        The same search comes first, the others by stable key.
        """
        (same,) = self._searches.find(np.array([stable_key(text)], dtype=np.uint64))
        matches = self._index.search(words(text))
        (kept,) = ((matches.shares >= NEAR_ENOUGH) & (matches.documents != same)).nonzero()
        # The NEAR most similar searches, ties by the greater key. The partition spares a sort of all matches.
        if len(kept) > NEAR:
            kept = kept[matches.shares[kept] >= np.partition(matches.shares[kept], -NEAR)[-NEAR]]
        keys = self._searches.table.entries["key"][matches.documents]
        kept = kept[np.lexsort((keys[kept], matches.shares[kept]))[-NEAR:]]
        kept = kept[np.argsort(keys[kept])]
        numbers, shares = matches.documents[kept].astype(np.int32), matches.shares[kept]
        if same < 0:
            return numbers, shares
        return np.concatenate([[same], numbers]).astype(np.int32), np.concatenate([[1.0], shares])

    def items_after(self, text: str) -> ClickedItems:
        """Return the items that shoppers acted on after a normalised search or a similar one."""
        searches, similarities = self.similar_searches(text)
        table = self._cooccurrence.table
        most = len(searches) * table.bounds.longest
        items, weights = np.empty(most, dtype=np.int32), np.empty(most)
        count = read_lists(table, searches, similarities, items, weights)
        if not count:
            return NONE_CLICKED
        # Sorted, because a sum of floats depends on the order.
        total = np.sort(weights[:count]).sum() + ONE_ACTION
        return ClickedItems(items[:count], weights[:count] / total)

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items that shoppers acted on after the same search or a similar one."""
        hits.counts[:, place] = 0
        results = catalogue.results(self._item_numbers, hits, place)
        for query, text in enumerate(batch.texts):
            if text:
                items, shares = self.items_after(remembered_query(text))
                write_votes(items, shares, self._item_numbers.votes, results, query)


def make_source(_name: str, behaviour: Behaviour) -> Clicked:
    """Return the source over the learned behaviour."""
    return behaviour.clicked
