"""The catalogue as arrays, for retrieval and ranking.

Each item has one row, and the row of a removed item is used again. One thread writes and searches: rows are valid
within one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from math import inf

import numpy as np
import numpy.typing as npt

from inference.kernels import popularity
from inference.kernels.keytable import KeyNumbers, KeyTable
from inference.kernels.nearest import Request
from inference.kernels.votes import ItemNumbers, Results
from inference.queries import SHORT_TERM, QueryBatch
from inference.records import Facets
from inference.retrieval.columns import NO_ROWS, Changes, Columns, Rows, Weights, arrays_of
from inference.retrieval.derived import DerivedValues
from inference.retrieval.facets import facets_of
from inference.retrieval.filters import Filters
from inference.retrieval.groups import ItemGroups
from inference.retrieval.matching import Matcher, Matching
from inference.retrieval.nearest import NearestItems, Vectors
from inference.retrieval.shortlists import Found, Hits, no_hits
from inference.retrieval.vectors import MAX_DIM, Int8Vector
from inference.retrieval.word_index import WordIndex
from inference.types import Item, Keys, Query, Vector, stable_key

EXACT_LIMIT = 100_000


class Catalogue:
    """Items with their vectors, searched exactly up to `exact_limit` items and approximately above.

    Args:
        dim: dimensions of the vectors.
        exact_limit: the number of items up to which a search compares all of them.
        index_words: whether to index the items' words; otherwise `words` finds nothing and costs nothing.
        numbers: the numbers of the `Behaviour` whose sources search the catalogue; new ones if none are given. The
            catalogue holds a number for each of its items, and `row_of` is indexed by them.
        derived: the attributes that filters and facets derive where items lack them; see `inference.attributes`.

    Attributes:
        columns: the arrays.
        popular: rows of the items that trend, most popular first, ties by stable key.
        words: the sparse index of the items' text.
        numbers: the item numbers.
        groups: the items' sellers, and which items are protected.
        repeat_rate: share of the purchases of returning buyers that repeat an item; None if it is unknown.
        derived, changes: the attributes that are derived, and the changes of the items' vectors.

    Raises ValueError for a `dim` outside of 1..1040, where similarities are exact.
    """

    def __init__(
        self,
        dim: int,
        *,
        exact_limit: int = EXACT_LIMIT,
        index_words: bool = True,
        numbers: ItemNumbers | None = None,
        derived: Sequence[str] = (),
    ) -> None:
        if not 1 <= dim <= MAX_DIM:
            raise ValueError(f"dim: required 1 to {MAX_DIM}, got {dim}")
        self.dim = dim
        self.popular: Rows = NO_ROWS
        self.words = WordIndex()
        self._nearest = NearestItems(exact_limit)
        self.derived = tuple(derived)
        self._matcher = Matcher(self.derived)
        self._matching: Matching | None = None
        self._index_words = index_words
        # A row is the dense number of an item's key, so the catalogue needs only one hash table.
        self._rows = KeyNumbers()
        # Keys that were acted on, also those of items that come later. `columns.seen` has the same by row, for kernels.
        self._seen = KeyNumbers()
        self.numbers = ItemNumbers() if numbers is None else numbers
        self._row_of: npt.NDArray[np.int32] = np.full(self.numbers.capacity, -1, dtype=np.int32)
        self.columns: Columns = Columns.empty(self._rows.capacity, dim)
        self.groups = ItemGroups(self._rows.capacity)
        self.changes = Changes(np.zeros(self._rows.capacity, dtype=np.int64))
        self._number_of = np.full(self._rows.capacity, -1, dtype=np.int32)
        self.repeat_rate: float | None = None
        self._items: list[Item | None] = []
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def used(self) -> int:
        """The number of rows that are in use or were: all others hold no item."""
        return len(self._items)

    @property
    def table(self) -> KeyTable:
        """The hash table in which kernels look up stable keys; its numbers are the rows."""
        return self._rows.table

    @property
    def row_of(self) -> npt.NDArray[np.int32]:
        """The row of each item number, (capacity of the numbers,), -1 for an item that the catalogue lacks."""
        # Catalogues and behaviour share the numbers, so their table may have grown meanwhile.
        missing = self.numbers.capacity - len(self._row_of)
        if missing > 0:
            self._row_of = np.concatenate([self._row_of, np.full(missing, -1, dtype=np.int32)])
        return self._row_of

    def get(self, key: int) -> Item | None:
        """Return the item with this stable key."""
        return None if (row := self.row(key)) is None else self._items[row]

    def row(self, key: int) -> int | None:
        """Return the row of the item with this stable key."""
        return None if (row := self._rows.find_one(key)) < 0 else row

    def row_named(self, text: str) -> int | None:
        """Return the row of the item whose id is this text, as typed or in upper or lower case."""
        for name in dict.fromkeys((text, text.upper(), text.lower())):
            row = self.row(stable_key(name))
            if row is not None:
                return row
        return None

    def rows_of(self, keys: Keys) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Return the rows (n,) of the items with these stable keys (n,), -1 without one, and whether there is one."""
        rows = self._rows.find(keys)
        return rows, rows >= 0

    def item(self, row: int) -> Item:
        """Return the item in a row that a search returned. Raises LookupError if the row is empty."""
        item = self._items[row]
        if item is None:
            raise LookupError(f"row {row} of the catalogue is empty")
        return item

    @property
    def items(self) -> list[Item | None]:
        """A copy of the items by row, None in an empty row."""
        return list(self._items)

    def upsert(self, item: Item, vector: Int8Vector) -> None:
        """Add or replace an item; `vector` is int8 of shape (dim,)."""
        if vector.shape != (self.dim,):
            raise ValueError(f"vector of {item.item_id!r}: required shape ({self.dim},), got {vector.shape}")
        key = stable_key(item.item_id)
        row = self.row(key)
        # A new price or title leaves the vector as it is. Then nothing that is made from vectors is made again.
        known = row is not None and np.array_equal(self.columns.vectors[row], vector)
        if row is None:
            row = self._new_row(key)
        if self._index_words:
            self.words.replace(row, self._items[row], item)
        self._items[row] = item
        self.columns.fill(row, key, item, vector)
        self.groups.fill(row, item.seller)
        self.columns.seen[row] = self._seen.find_one(key) >= 0
        self._nearest.changed(row, moved=not known)
        if not known:
            self.changes.note(row)
        self._matcher.changed(row, item)

    def remove(self, item_id: str) -> bool:
        """Remove an item. Return False if the catalogue lacks it."""
        row = self.row(stable_key(item_id))
        if row is None:
            return False
        if self._index_words:
            self.words.replace(row, self._items[row], None)
        self._items[row] = None
        self.columns.clear(row)
        self.popular = self.popular[self.popular != row]
        self._nearest.removed(row)
        self._matcher.changed(row, None)
        self._release(row)
        self._rows.release(row)
        return True

    def close(self, most: int | None = None) -> bool:
        """Release at most `most` item numbers, or all; return True while there are more to release.

        This cannot be undone: sources that use item numbers find nothing in this catalogue any more.
        """
        self._is_closed = True
        held = np.flatnonzero(self._number_of >= 0)
        for row in held[:most].tolist():
            self._release(row)
        return most is not None and len(held) > most

    def set_popularity(
        self, scores: Weights, lasting: Weights | None = None, now_s: float = inf, repeat_rate: float | None = None
    ) -> None:
        """Replace every item's popularity, in [0, 1], given by stable key. Items that are not given have none.

        `scores` is current popularity, `lasting` popularity over a long time; without `lasting` that stays as it was.
        Items with a weight above 0 in either are marked as seen. `now_s`, in seconds since 1970, decides which items
        are young. `repeat_rate` replaces the attribute.
        """
        self.repeat_rate = repeat_rate
        self.popular = self._fill(self.columns.popularity, scores)
        if lasting is not None:
            self._fill(self.columns.lasting, lasting)
        self.groups.refresh(self.columns, now_s)

    def mark_seen(self, keys: Iterable[int] | Keys, weights: Vector | None = None) -> None:
        """Mark the items with these stable keys as acted on, also those that are not in the catalogue yet.

        With `weights` (n,), those whose weight is above 0 only.
        """
        each = keys if isinstance(keys, np.ndarray) else np.fromiter(keys, dtype=np.uint64)
        weights = np.ones(len(each), dtype=np.float32) if weights is None else weights
        self._seen.reserve(len(each))
        if popularity.mark_seen(self._seen.table, self.table, self.columns.seen, each, weights):
            self._nearest.aged()

    def search(self, vectors: Vector, limit: int) -> list[Found]:
        """Return the `limit` available items nearest to each of `vectors` (n, dim) by cosine."""
        batch = QueryBatch.of([Query(short_term=vector) for vector in vectors], self.dim)
        hits = no_hits(len(batch), 1, limit)
        self.search_batch(batch, [(SHORT_TERM, 0)], hits)
        return [hits.found(query, 0) for query in range(len(batch))]

    def search_batch(self, batch: QueryBatch, requests: Sequence[Request], hits: Hits) -> None:
        """Write the available items nearest to the vectors of each query; see `NearestItems.search`."""
        self._nearest.search(
            self.columns, len(self._items), Vectors(batch.vectors, batch.inverse_norms), requests, hits, self._matching
        )

    def find_matching(self, filters: Filters) -> Matching:
        """Return the rows that pass all filters, apart from what these exclude for one query only."""
        return self._matcher.find(filters, self.columns, self._items)

    def derived_values(self, keys: Iterable[int]) -> dict[int, DerivedValues]:
        """Return the derived values of those items that the catalogue has, by key."""
        found = ((key, self.row(key), self.get(key)) for key in keys)
        of = self._matcher.derived.of
        return {key: of(row, item) for key, row, item in found if row is not None and item is not None}

    def facets(self, rows: Rows) -> Facets:
        """Return how many items of some rows, each once, have each category, brand, price and derived attribute."""
        return facets_of(rows, self._matcher)

    def restricted(self, matching: Matching) -> Catalogue:
        """Return a view, for one batch, in which only these rows are available."""
        # A shallow copy shares all arrays. Only the mask of available rows differs.
        view = copy(self)
        view.columns, view._matching = self.columns._replace(available=matching.mask), matching
        return view

    def results(self, numbers: ItemNumbers, hits: Hits, place: int) -> Results:
        """Return the arrays to which the source at a place writes hits by votes. `numbers` are those of its votes.

        Raises ValueError for other item numbers than the catalogue's: each vote would count for another item.
        """
        if self.numbers is not numbers:
            raise ValueError("catalogue: required the item numbers of the behaviour behind its sources, got others")
        columns = self.columns
        return Results(self.row_of, columns.available, columns.keys, hits.rows, hits.scores, hits.counts, place)

    def build_index(self, most: int) -> bool:
        """Add at most `most` items to the approximate index, if one is needed; return True while there are more to add.

        Search stays exact until all items are in the index. Call this after changes to a large catalogue.
        """
        return self._nearest.build(self.columns, len(self), most)

    def _fill(self, column: Vector, given: Weights) -> Rows:
        """Write weights to their rows and 0 elsewhere, and mark the items as seen; return the heaviest rows first."""
        keys, weights = arrays_of(given)
        rows = np.empty(len(keys), dtype=np.int32)
        found = popularity.fill(self.table, column, self.columns.keys, keys, weights, rows)
        self.mark_seen(keys, weights)
        return rows[:found]

    def _new_row(self, key: int) -> int:
        row = self._rows.retain(key)
        if row == len(self._items):
            self._items.append(None)
        if row == len(self.columns.keys):
            self.columns = self.columns.grown()
            self.groups.reserve(len(self.columns.keys))
            self.changes.reserve(len(self.columns.keys))
            self._number_of = np.concatenate([self._number_of, np.full_like(self._number_of, -1)])
        if not self._is_closed:
            number = self.numbers.retain(key)
            self._number_of[row] = number
            self.row_of[number] = row
        return row

    def _release(self, row: int) -> None:
        number = int(self._number_of[row])
        if number >= 0:
            self.row_of[number] = self._number_of[row] = -1
            self.numbers.release(number)
