"""The ranker's features: one row of numbers for each candidate of a batch, computed by a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import exp, log1p
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import boolean, float32, int8, int16, int32, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import KEY_TABLE, KeyTable, find
from inference.kernels.signatures import CANDIDATES, COLUMNS, QUERIES
from inference.queries import LONG_TERM as LONG_TERM_VECTOR
from inference.queries import Queries
from inference.ranking.features import CONTEXT, FEATURES, LAST_ITEMS, LONG_SESSION, OFTEN, PLACED, SCORED
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Columns
from inference.retrieval.shortlists import Candidates, Shortlists
from inference.types import Keys, Vector

_PLACE = {name: place for place, name in enumerate(FEATURES)}
_LEAST_DEVIATION = np.float32(0.25)
"""Least deviation of log(1 + price): one purchase does not mean that the shopper wants exactly its price."""

Marks = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int32]
Places = npt.NDArray[np.int32]

# The kernel's columns.
_LAST_ITEM, _LAST_ITEMS = _PLACE["last_item"], _PLACE["last_items"]
_POPULARITY, _LASTING, _NEW = _PLACE["popularity"], _PLACE["lasting"], _PLACE["new"]
_CATEGORY, _BRAND = _PLACE["category"], _PLACE["brand"]
_SAME_CATEGORY, _SAME_BRAND = _PLACE["same_category"], _PLACE["same_brand"]
_SEEN_BEFORE, _BOUGHT, _PRICE, _DEARER = (_PLACE[name] for name in ("seen_before", "bought", "price", "dearer"))
_SEARCHING, _SESSION_LENGTH, _HABITS, _INTENT = (_PLACE[name] for name in CONTEXT)
_MARKS = 1024
_LAST_BITS = np.uint64(_MARKS - 1)
_INTENTS = 3
"""Number of a query's vectors. The first SIMILARITIES are cosines to them, in their order."""
_COMPARED = _INTENTS + LAST_ITEMS
_LOG_OFTEN, _LOG_LONG_SESSION = log1p(OFTEN), log1p(LONG_SESSION)


class QueryArrays(NamedTuple):
    """The arrays of a `QueryBatch` that the kernel reads."""

    records: Queries
    vectors: npt.NDArray[np.int8]
    inverse_norms: Vector


def features(shortlists: Shortlists, catalogue: Catalogue, out: Vector | None = None) -> Vector:
    """Return the features (C, len(FEATURES)), float32, of all candidates, by the catalogue's current state.

    They are written to `out`, of this shape, if it is given.
    """
    candidates = shortlists.candidates
    if out is None:
        out = np.empty((len(candidates.rows), len(FEATURES)), dtype=np.float32)
    batch, scratch = shortlists.queries, _Scratch.make(catalogue.dim)
    queries = QueryArrays(batch.records, batch.vectors, batch.inverse_norms)
    items = _Items(catalogue.columns, catalogue.table)
    _fill(queries, candidates, items, _columns_of(shortlists.sources), scratch, out)
    return out


class Buffer:
    """An array that is used again from batch to batch: memory in use causes no page faults."""

    def __init__(self, width: int) -> None:
        self._array: npt.NDArray[np.float32] = np.empty((0, width), dtype=np.float32)

    def rows(self, number: int) -> Vector:
        """Return an array of this number of rows, (number, width), with undefined content."""
        if len(self._array) < number:
            self._array = np.empty((max(number, 2 * len(self._array)), self._array.shape[1]), dtype=np.float32)
        return self._array[:number]


@cache
def _columns_of(sources: tuple[str, ...]) -> Places:
    """Return for each source the columns of its score and of its place, int32 (S, 2); -1 for a missing one."""

    def column(features: Mapping[str, str], source: str) -> int:
        return next((_PLACE[name] for name, each in features.items() if each == source), -1)

    columns = [(column(SCORED, source), column(PLACED, source)) for source in sources]
    return np.array(columns, dtype=np.int32).reshape(-1, 2)


class _Items(NamedTuple):
    """The catalogue's columns, and the hash table that finds the row of a stable key."""

    columns: Columns
    table: KeyTable


class _Scratch(NamedTuple):
    """Scratch memory of the kernel for one query.

    Attributes:
        vectors: the vectors that candidates are compared with, and last the candidate's, int16 (_COMPARED + 1, dim):
            products of 16-bit numbers compile to multiply-and-add in pairs.
        norms: 1 / ‖vector‖, float32 (_COMPARED,).
        last: the rows of the session's newest items, int32 (LAST_ITEMS,), -1 for an item that the catalogue lacks.
        marks: by the last bits of a stable key, whether it can be one of the shopper's recent or habitual items,
            bool (_MARKS,).
    """

    vectors: npt.NDArray[np.int16]
    norms: Vector
    last: Rows
    marks: Marks

    @classmethod
    def make(cls, dim: int) -> _Scratch:
        return cls(
            np.empty((_COMPARED + 1, dim), dtype=np.int16),
            np.empty(_COMPARED, dtype=np.float32),
            np.empty(LAST_ITEMS, dtype=np.int32),
            np.empty(_MARKS, dtype=np.bool_),
        )


_SCRATCH = NamedTupleType((int16[:, ::1], float32[::1], int32[::1], boolean[::1]), _Scratch)
_ITEMS = NamedTupleType((COLUMNS, KEY_TABLE), _Items)
_QUERY_ARRAYS = NamedTupleType((QUERIES, int8[:, :, ::1], float32[:, ::1]), QueryArrays)


@kernel(void(_QUERY_ARRAYS, CANDIDATES, _ITEMS, int32[:, ::1], _SCRATCH, float32[:, ::1]), allocates=False)
def _fill(
    queries: QueryArrays, candidates: Candidates, items: _Items, places: Places, scratch: _Scratch, out: Vector
) -> None:
    """Write the features of every candidate to `out` (C, F). `places` are the columns of each source's features."""
    columns, table = items.columns, items.table
    vector, last = scratch.vectors[_COMPARED], scratch.last
    for query in range(len(queries.records)):
        record = queries.records[query]
        compared = min(int(record["session_length"]), LAST_ITEMS)
        for place in range(compared):
            last[place] = find(table, record["session"][place])
        number = _take_vectors(queries, columns, query, compared, scratch)
        _mark(record, scratch.marks)
        newest = -1
        # From the oldest to the newest, so that the newest item that the catalogue has is assigned last.
        for place in range(compared - 1, -1, -1):
            if last[place] >= 0:
                newest = int(last[place])
        session_length = min(log1p(record["session_length"]) / _LOG_LONG_SESSION, 1.0)
        for at in range(candidates.starts[query], candidates.starts[query + 1]):
            row, own = candidates.rows[at], out[at]
            for column in range(len(own)):
                own[column] = 0
            stored = columns.vectors[row]
            for d in range(len(vector)):
                vector[d] = stored[d]
            # The query's own vectors come first, then those of the last items, the newest first. The vector at
            # _INTENTS is therefore that of the last item, whose column follows those of the query's vectors.
            for each in range(number):
                if scratch.norms[each] > 0:
                    cosine = np.float32(_dot(scratch.vectors[each], vector)) * scratch.norms[each]
                    cosine *= columns.inverse_norms[row]
                    if each <= _INTENTS:
                        own[each] = cosine
                    if each >= _INTENTS:
                        own[_LAST_ITEMS] = cosine if each == _INTENTS else max(own[_LAST_ITEMS], cosine)
            for source in range(len(places)):
                if candidates.ranks[at, source] > 0:
                    if places[source, 0] >= 0:
                        # Scores and popularities are mostly near 0. Their roots are spread more evenly, which a linear
                        # part of the ranker can use.
                        own[places[source, 0]] = np.sqrt(candidates.scores[at, source])
                    if places[source, 1] >= 0:
                        own[places[source, 1]] = candidates.ranks[at, source]
            own[_POPULARITY] = np.sqrt(columns.popularity[row])
            own[_LASTING] = np.sqrt(columns.lasting[row])
            own[_NEW] = not columns.seen[row]
            _add_personal(record, columns, row, newest, scratch.marks, own)
            own[_SEARCHING] = record["searching"]
            own[_SESSION_LENGTH] = session_length
            own[_HABITS] = record["habits_length"] > 0
            own[_INTENT] = queries.inverse_norms[query, LONG_TERM_VECTOR] > 0


@helper
def _dot(one: npt.NDArray[np.int16], other: npt.NDArray[np.int16]) -> np.int32:
    """Return the exact inner product: 32 bits hold it up to `vectors.MAX_DIM`."""
    total = np.int32(0)
    for d in range(len(other)):
        total = np.int32(total + np.int32(one[d]) * np.int32(other[d]))
    return total


@helper
def _take_vectors(queries: QueryArrays, columns: Columns, query: int, compared: int, scratch: _Scratch) -> int:
    """Copy the vectors to compare candidates with: the query's and those of `compared` last items; return how many."""
    vectors, norms = scratch.vectors, scratch.norms
    for place in range(_INTENTS):
        norms[place] = queries.inverse_norms[query, place]
        for d in range(vectors.shape[1]):
            vectors[place, d] = queries.vectors[query, place, d]
    number = _INTENTS
    for place in range(compared):
        row = scratch.last[place]
        if row >= 0:
            norms[number] = columns.inverse_norms[row]
            for d in range(vectors.shape[1]):
                vectors[number, d] = columns.vectors[row, d]
            number += 1
    return number


@helper
def _add_personal(record: np.void, columns: Columns, row: int, newest: int, marks: Marks, own: Vector) -> None:
    """Fill in the PERSONAL features of a candidate; `newest` is the row of the session's last item, -1 without one."""
    key, category, brand = columns.keys[row], columns.categories[row], columns.brands[row]
    place = _find(record["categories"], record["categories_length"], category)
    if place >= 0:
        own[_CATEGORY] = record["category_shares"][place]
    place = _find(record["brands"], record["brands_length"], brand)
    if place >= 0:
        own[_BRAND] = record["brand_shares"][place]
    if newest >= 0:
        # Key 0 stands for no category and no brand.
        own[_SAME_CATEGORY] = category != 0 and category == columns.categories[newest]
        own[_SAME_BRAND] = brand != 0 and brand == columns.brands[newest]
    # Most candidates have no mark and skip both searches. A mark can be that of another key with the same last bits.
    if marks[key & _LAST_BITS]:
        own[_SEEN_BEFORE] = _find(record["recent"], record["recent_length"], key) >= 0
        place = _find(record["habits"], record["habits_length"], key)
        if place >= 0:
            own[_BOUGHT] = min(log1p(record["habit_weights"][place]) / _LOG_OFTEN, 1.0)
    mean, deviation = np.float32(record["price_mean"]), np.float32(record["price_deviation"])
    z = (columns.prices[row] - mean) / max(deviation, _LEAST_DEVIATION)
    if np.isfinite(z):
        own[_PRICE] = exp(-(z * z) / np.float32(2))
        # tanh(|z|) by an exponential that cannot overflow.
        fallen = exp(np.float32(-2) * abs(z))
        dearer = (np.float32(1) - fallen) / (np.float32(1) + fallen)
        own[_DEARER] = dearer if z >= 0 else -dearer


@helper
def _find(keys: Keys, length: int, key: np.uint64) -> int:
    """Return the place of `key` among the first `length` of `keys`, -1 if it is missing."""
    for place in range(length):
        if keys[place] == key:
            return place
    return -1


@helper
def _mark(record: np.void, marks: Marks) -> None:
    """Mark the keys of a query's recent and habitual items. A key without a mark need not be looked up."""
    for place in range(len(marks)):
        marks[place] = False
    for place in range(record["recent_length"]):
        marks[record["recent"][place] & _LAST_BITS] = True
    for place in range(record["habits_length"]):
        marks[record["habits"][place] & _LAST_BITS] = True
