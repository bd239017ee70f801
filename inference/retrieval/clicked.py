"""Items that shoppers acted on after a search: one source for the same search, one for similar searches.

With w(r, i), the weight of the actions on item i after search r, decayed to the newest of these records, and n(r), the
sum of w(r, i) over all items, the source `clicked` scores the items after the search q itself by

    w(q, i) / (n(q) + 1)

The 1 is the weight of one action: a search that led to an item once is weaker evidence than one that led to it a
hundred times. Clicks as evidence of a query's intent: Joachims 2002, doi:10.1145/775047.775067.

The source `clicked_near` backs off to the searches r most similar to q, which count by sim(q, r): BM25 of r for the
words of q, as a share of the greatest possible score (`word_index.py`), so rare words in common make searches similar.
With N = Σ_r sim(q, r) n(r), it scores items by

    Σ_r sim(q, r)² w(r, i) / (N + 1) / (1 + n(q))

That is an item's share of the actions, times the similarity of their searches. The last factor is the weight that
similar searches keep beside n(q) actions after the search itself (shrinkage, as in the smoothing of Zhai & Lafferty
2004, doi:10.1145/984321.984322). Clicks of similar queries: Craswell & Szummer 2007, doi:10.1145/1277741.1277784.

Clicks after "milk" are no evidence for the word "oat". So if an available item has all words of q, an item of a similar
search counts only if it has words that the similar search lacks: at least half of them, weighted by ln(items / items
with the word). Words that no item has, such as misspelled ones, are ignored, and in a catalogue of FEWEST_DOCUMENTS
items or more those that a fifth of the items has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.encoding.text import remembered_query, search_key
from inference.kernels.cooccurrence_read import ONE_ACTION, read_lists
from inference.kernels.keytable import KeyNumbers
from inference.kernels.votes import ItemNumbers, write_votes
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.cooccurrence import CAPACITY, HALF_LIFE_MS, Cooccurrence, Limits, weighted_records
from inference.retrieval.search_records import SearchRecords
from inference.retrieval.shortlists import Hits
from inference.retrieval.sources import CLICKED, CLICKED_NEAR, CandidateSource
from inference.retrieval.tokens import Word, words
from inference.retrieval.word_index import Mask, SparseIndex, document
from inference.types import ItemNeighbours

WIDTH = 32
"""Number of searches of an item that are served: the heaviest ones. 200,000 items take at most 77 MB."""
NEAR = 20
"""Number of similar searches that count."""
NEAR_ENOUGH = 0.1
"""Least similarity of a search that counts, by all words and by the distinctive ones."""
SHORTEST, FEWEST_DIGITS = 2, 3
"""Least length of a distinctive word, and of a distinctive number."""
FREQUENT, FEWEST_DOCUMENTS = 0.2, 50
"""Share of the searches or items from which on a word is not distinctive, such as "for", if there are so many."""


class ClickedItems(NamedTuple):
    """Items that shoppers acted on after some searches.

    Attributes:
        items: their numbers, which may repeat, int32 (n,).
        scores: float64 (n,).
        weight: the weight of all actions behind them.
        lists: the place of each item's search among the given ones, int32 (n,).
    """

    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    weight: float
    lists: npt.NDArray[np.int32]


NONE_CLICKED = ClickedItems(np.empty(0, dtype=np.int32), np.empty(0), 0.0, np.empty(0, dtype=np.int32))


class Clicked:
    """Searches and the items acted on after them, from the items' newest records; also the source `clicked`.

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
        keys = {text: search_key(text) for record in records for text in record.queries}
        weights = [_summed((keys[text], weight) for text, weight in record.queries.items()) for record in records]
        # Records list searches by falling weight: of two spellings of one search, the first is shown.
        texts = {key: text for text, key in reversed(keys.items())}
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
            # A free slot still has the key of its last item. 0 marks it as free.
            item_keys=np.where(entries["references"] > 0, entries["key"], np.uint64(0)),
            at_ms=table.newest.slots["at_ms"].copy(),
            related=table.related.copy(),
            weights=table.weights.copy(),
            half_life_ms=self._half_life_ms,
        )

    def similar_searches(self, text: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Return the numbers (n,) of remembered searches similar to another one, and the similarities, in (0, 1).

        The same search is not among them. They are in the order of their stable keys.
        """
        searched = words(text)
        matches = self._index.search(searched)
        is_near = matches.shares >= NEAR_ENOUGH
        if is_near.any():
            (same,) = self._searches.find(np.array([search_key(text)], dtype=np.uint64))
            is_near &= matches.documents != same
            is_near &= self._shares_distinctive_words(searched, matches.documents)
        (kept,) = is_near.nonzero()
        # The NEAR most similar searches, ties by the greater key. The partition spares a sort of all matches.
        if len(kept) > NEAR:
            kept = kept[matches.shares[kept] >= np.partition(matches.shares[kept], -NEAR)[-NEAR]]
        keys = self._searches.table.entries["key"][matches.documents]
        kept = kept[np.lexsort((keys[kept], matches.shares[kept]))[-NEAR:]]
        # By key, so that every worker adds the votes in the same order: a sum of floats depends on it.
        kept = kept[np.argsort(keys[kept])]
        return matches.documents[kept].astype(np.int32), matches.shares[kept]

    def _shares_distinctive_words(
        self, searched: Sequence[Word], documents: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Return whether each document has distinctive words of the search, (n,).

        A letter, a number of one or two digits and a very frequent word are not distinctive: "wii 2" is not near to
        "ipad 2". Beside another word they count.
        """
        distinctive = [word for word in map(self._distinctive, searched) if word]
        if distinctive == list(searched):
            return np.ones(len(documents), dtype=np.bool_)
        matches = self._index.search(distinctive)
        return np.isin(documents, matches.documents[matches.shares >= NEAR_ENOUGH])

    def _distinctive(self, word: Word) -> Word:
        """Return the readings of a word whose tokens are all distinctive."""
        return tuple(reading for reading in word if all(map(self._is_distinctive, reading)))

    def _is_distinctive(self, token: str) -> bool:
        if len(token) < (FEWEST_DIGITS if token.isdigit() else SHORTEST):
            return False
        return len(self._index) < FEWEST_DOCUMENTS or self._index.documents_with(token) < FREQUENT * len(self._index)

    def items_after(self, text: str) -> ClickedItems:
        """Return the items that shoppers acted on after a remembered search."""
        same = self._searches.find(np.array([search_key(text)], dtype=np.uint64))
        return self._items(same, np.ones(1)) if same[0] >= 0 else NONE_CLICKED

    def items_near(self, text: str, catalogue: Catalogue) -> ClickedItems:
        """Return the items that shoppers acted on after remembered searches similar to the given one."""
        searches, similarities = self.similar_searches(text)
        found = self._items(searches, similarities)
        if not len(found.items):
            return found
        scores = found.scores * similarities[found.lists] / (ONE_ACTION + self.items_after(text).weight)
        # The actions on items that are left out stay in N: many of them say that the search is unlike the similar ones.
        kept = self._has_missing_words(text, searches, found, catalogue)
        return ClickedItems(found.items[kept], scores[kept], found.weight, found.lists[kept])

    def _has_missing_words(
        self, text: str, searches: npt.NDArray[np.int32], found: ClickedItems, catalogue: Catalogue
    ) -> Mask:
        """Return for each item found whether it has half of the words of a search that the similar one lacks, (n,)."""
        rows = catalogue.row_of[found.items]
        required, present = np.zeros((2, len(rows)))
        # One element, which takes the size of the first word's mask. Without a known word nothing is required.
        has_all = np.ones(1, dtype=np.bool_)
        for word in dict.fromkeys(words(text)):
            has_word = catalogue.words.having(word)
            number, items = np.count_nonzero(has_word), len(catalogue.words)
            if not number or (items >= FEWEST_DOCUMENTS and number >= FREQUENT * items):
                continue
            has_all = has_all & has_word
            lacking = ~self._index.having(word)[searches]
            weights = np.where(lacking[found.lists], np.log(items / number), 0)
            required += weights
            # Row −1 stands for an item that the catalogue lacks, which is no hit whatever its score is.
            present += np.where(has_word[rows], weights, 0)
        if not catalogue.columns.available[np.flatnonzero(has_all)].any():
            return np.ones(len(rows), dtype=np.bool_)
        return 2 * present >= required

    def _items(self, searches: npt.NDArray[np.int32], similarities: npt.NDArray[np.float64]) -> ClickedItems:
        """Return the items of some searches, given their numbers and similarities, (n,) each."""
        table = self._cooccurrence.table
        most = len(searches) * table.bounds.longest
        (lists, items), weights = np.empty((2, most), dtype=np.int32), np.empty(most)
        count = read_lists(table, searches, lists, items, weights)
        if not count:
            return NONE_CLICKED
        weights = weights[:count] * similarities[lists[:count]]
        # Sorted, because a sum of floats depends on the order.
        total = float(np.sort(weights).sum())
        return ClickedItems(items[:count], weights / (total + ONE_ACTION), total, lists[:count])

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items that shoppers acted on after the same search."""
        self.write(lambda text, _: self.items_after(text), batch, catalogue, hits, place)

    def write(
        self,
        find: Callable[[str, Catalogue], ClickedItems],
        batch: QueryBatch,
        catalogue: Catalogue,
        hits: Hits,
        place: int,
    ) -> None:
        """Write the items that `find` returns for the text of each search."""
        hits.counts[:, place] = 0
        results = catalogue.results(self._item_numbers, hits, place)
        for query, text in enumerate(batch.texts):
            if text:
                found = find(remembered_query(text), catalogue)
                write_votes(found.items, found.scores, self._item_numbers.votes, results, query)


class ClickedNear:
    """The source of the items that shoppers acted on after similar searches."""

    name = CLICKED_NEAR

    def __init__(self, clicked: Clicked) -> None:
        self._clicked = clicked

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items that shoppers acted on after similar searches."""
        self._clicked.write(self._clicked.items_near, batch, catalogue, hits, place)


def _summed(pairs: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Return the sum of the weights of each key: a search in traditional and in simplified characters has one key."""
    sums: dict[int, float] = {}
    for key, weight in pairs:
        sums[key] = sums.get(key, 0.0) + weight
    return sums


def make_source(name: str, clicked: Clicked) -> CandidateSource:
    """Return one of the two sources over the items acted on after searches."""
    return clicked if name == CLICKED else ClickedNear(clicked)
