"""The catalogue as arrays: what retrieval searches and ranking reads.

One row an item; a removed item's row is used again. One thread writes and searches: rows are valid within one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inference.retrieval.columns import Columns, Rows
from inference.retrieval.found import Found, Offers, best, best_of_each
from inference.retrieval.keytable import KeyTable
from inference.retrieval.nearest import NearestItems, Request, similarities
from inference.retrieval.tally import Pairs, distinct, pairs_of, totals
from inference.retrieval.vectors import MAX_DIM, Int8Vector, quantise
from inference.retrieval.words import WordIndex
from inference.types import Item, Keys, Vector, stable_key

__all__ = ["Catalogue", "Found"]


class Catalogue:
    """Items beside their vectors, searched exactly up to `exact_limit` items and approximately above.

    Args:
        dim: dimensions of the vectors.
        exact_limit: up to this many items a search is one exact matrix product.
        index_words: whether to index the items' words; without, `words` finds nothing and costs nothing.

    Attributes:
        columns: the arrays.
        popular: rows of the items that trend, most popular first.
        words: the sparse index of the items' text.

    Raises:
        ValueError: `dim` is outside of 1..1040, where similarities are exact.
    """

    def __init__(self, dim: int, *, exact_limit: int = 20_000, index_words: bool = True) -> None:
        if not 1 <= dim <= MAX_DIM:
            raise ValueError(f"dim: 1 to {MAX_DIM} required, {dim} came")
        self.dim = dim
        self.columns = Columns.empty(256, dim)
        self.popular: Rows = np.empty(0, dtype=np.intp)
        self.words = WordIndex()
        self._index_words = index_words
        self._nearest = NearestItems(exact_limit)
        self._row_of: dict[int, int] = {}
        self._rows = KeyTable()
        self._items: list[Item | None] = []
        self._free: list[int] = []
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, key: object) -> bool:
        return key in self._row_of

    def get(self, key: int) -> Item | None:
        """Return the item with this stable key."""
        row = self._row_of.get(key)
        return None if row is None else self._items[row]

    def row(self, key: int) -> int | None:
        """Return the row of the item with this stable key."""
        return self._row_of.get(key)

    def rows_of(self, keys: Keys) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Return the rows (n,) of the items with these stable keys (n,), -1 without one, and whether there is one."""
        rows = self._rows.numbers(keys)
        return rows, rows >= 0

    def item(self, row: int) -> Item:
        """Return the item in a row that a search gave."""
        item = self._items[row]
        if item is None:
            raise LookupError(f"row {row} of the catalogue is empty")
        return item

    def upsert(self, item: Item, vector: Int8Vector) -> None:
        """Add or replace an item; `vector` is int8 of shape (dim,)."""
        if vector.shape != (self.dim,):
            raise ValueError(f"vector of {item.item_id!r}: shape ({self.dim},) required, {vector.shape} came")
        key = stable_key(item.item_id)
        row = self._row_of.get(key)
        known = row is not None and np.array_equal(self.columns.vectors[row], vector)
        if row is None:
            row = self._new_row(key)
        if self._index_words:
            self.words.replace(row, self._items[row], item)
        self._items[row] = item
        self.columns.fill(row, key, item, vector)
        self.columns.seen[row] = key in self._seen
        if not known:
            self._nearest.changed(row)

    def remove(self, item_id: str) -> bool:
        """Take an item out; False if it was not there."""
        key = stable_key(item_id)
        row = self._row_of.pop(key, None)
        if row is None:
            return False
        self._rows.remove(key)
        if self._index_words:
            self.words.replace(row, self._items[row], None)
        self._items[row] = None
        self.columns.clear(row)
        self.popular = self.popular[self.popular != row]
        self._nearest.removed(row)
        self._free.append(row)
        return True

    def set_popularity(self, scores: Mapping[int, float], lasting: Mapping[int, float] | None = None) -> None:
        """Replace every item's popularity, in [0, 1], given by stable key; items not named have none.

        `scores` say what trends now, `lasting` what has been liked for long; without it that stays as it was. Items
        named in either have been seen.
        """
        self.popular = self._fill(self.columns.popularity, scores)
        if lasting is not None:
            self._fill(self.columns.lasting, lasting)

    def mark_seen(self, keys: Iterable[int]) -> None:
        """Take note that shoppers acted on the items with these stable keys, whether they are in the catalogue yet."""
        fresh = set(keys) - self._seen
        self._seen |= fresh
        rows = [row for key in fresh if (row := self._row_of.get(key)) is not None]
        self.columns.seen[rows] = True

    def search(self, vectors: Vector, limit: int) -> list[Found]:
        """Return the `limit` available items nearest to each of `vectors` (n, dim) by cosine."""
        return self.answer(vectors, [Request(number) for number in range(len(vectors))], limit)

    def answer(self, vectors: Vector, requests: Sequence[Request], limit: int) -> list[Found]:
        """Search for several requests about the same `vectors` (n, dim), each compared to the items once."""
        return self._nearest.search(self.columns, len(self._items), vectors, requests, limit)

    def build_index(self, most: int) -> bool:
        """Add at most `most` items to the approximate index, where one is needed; True while there is more to add.

        Search is exact until all are in it, so whoever changes a large catalogue calls this afterwards.
        """
        return self._nearest.build(self.columns, len(self), most)

    def similarities(self, vectors: Vector, rows: Rows) -> Vector:
        """Return the cosines (n, len(rows)) of `vectors` (n, dim) to the items in `rows`."""
        return similarities(self.columns, quantise(vectors).astype(np.float32), rows)

    def distinct(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the distinct ones among `rows` (n,), in no order that means anything, and each one's place there."""
        return distinct(rows, len(self.columns.keys))

    def offer(self, offers: Offers, number: int, limit: int) -> list[Found | None]:
        """Add up what speaks for each item, at most to 1; for each of `number` queries the `limit` best available ones.

        None where nothing speaks for any.
        """
        rows = self._rows.numbers(offers.keys)
        (known,) = (rows >= 0).nonzero()
        if not len(known):
            return [None] * number
        pairs, places = pairs_of(offers.queries[known], rows[known], self.columns.keys)
        sums = totals(places, offers.weights[known], len(pairs.queries))
        (offered,) = (self.columns.available[pairs.rows][pairs.places] & (sums >= 0)).nonzero()
        scores = np.minimum(sums[offered], 1.0).astype(np.float32)
        return best_of_each(Pairs(pairs.rows, pairs.queries[offered], pairs.places[offered]), scores, number, limit)

    def best(self, rows: Rows, scores: Vector, limit: int) -> Found:
        """Select the best `limit` of distinct `rows` (n,) by `scores` (n,), ties by stable key."""
        return best(rows, scores, self.columns.keys, limit)

    def _fill(self, column: Vector, scores: Mapping[int, float]) -> Rows:
        """Write scores to their rows and nothing elsewhere; the rows by falling score."""
        column[:] = 0.0
        found = [(row, score) for key, score in scores.items() if (row := self._row_of.get(key)) is not None]
        rows = np.array([row for row, _ in found], dtype=np.intp)
        column[rows] = [score for _, score in found]
        self.mark_seen(key for key, score in scores.items() if score > 0)
        return self.best(rows, column[rows], len(rows)).rows

    def _new_row(self, key: int) -> int:
        if self._free:
            row = self._free.pop()
        else:
            row = len(self._items)
            self._items.append(None)
            if row == len(self.columns.keys):
                self.columns = self.columns.grown()
        self._row_of[key] = row
        self._rows.set(key, row)
        return row
