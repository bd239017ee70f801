"""The items nearest to the vectors of a batch of queries: exact products of small integers, and a pool of the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, float32, int8, int32, int64, types, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.products import FACTORS, Factors, dot, multiply, shift
from inference.kernels.selection import Rows, cut, write_best
from inference.kernels.signatures import COLUMNS, HITS
from inference.queries import LONG_TERM, SEARCH, SHORT_TERM
from inference.retrieval.columns import BLOCK as ALIGNED
from inference.retrieval.columns import BYTES, Columns
from inference.retrieval.shortlists import Hits
from inference.types import Vector

Int8 = npt.NDArray[np.int8]
Requests = npt.NDArray[np.int32]
Request = tuple[int, int]
"""The place of a query's vector, or FOREMOST, and the place of the source in the hits."""

FOREMOST = 3
"""Stands for a place in requests for new items only: that of the search, else of the short-term intent, else of the
long-term one."""
LISTS = 8
"""Queries whose vectors are compared with the items in one pass. With three vectors each they fit into the L1 cache."""
BLOCK = 4 * ALIGNED
"""Items whose cosines are computed before the best are collected."""
GROUP = 16
"""Cosines that are tested together: most groups have none of the best."""
ABSENT = -3.0
"""Value in place of a cosine for a row that must not be found, below every cosine."""
SLACK = 4
"""Size of a pool at which it is cut to the best, as a multiple of the rows wanted."""


@helper
def vector_of(inverse_norms: Vector, query: int, slot: int) -> int:
    """Return the place of the vector that a request refers to, -1 if the query has none."""
    if slot == FOREMOST:
        if inverse_norms[query, SEARCH] > 0:
            return SEARCH
        slot = SHORT_TERM if inverse_norms[query, SHORT_TERM] > 0 else LONG_TERM
    return slot if inverse_norms[query, slot] > 0 else -1


class Scratch(NamedTuple):
    """Scratch memory of `find_nearest` for v vectors and s searches at a time, used again from batch to batch.

    A search finds the items nearest to one vector of one query, for one source.

    Attributes:
        requests: the requests of each query, int32 (r, 2): the place of a vector or FOREMOST, and the place of the
            source in the hits.
        factors: the vectors.
        norms: 1 / ‖vector‖, float32 (v,).
        products, cosines: of a block of items, int32 (v, BLOCK) and float32 (BLOCK,).
        searches: by search, int32 (s, 5): its query, its vector, whether it is for new items only, its source's place,
            and an earlier search with the same result, or -1.
        rows, scores: by search, the pool of rows that can still be among the best, int32 and float32 (s, size).
        sizes, thresholds: by search, the size of the pool, and the least cosine to enter it, int64 and float32 (s,).
    """

    requests: Requests
    factors: Factors
    norms: Vector
    products: npt.NDArray[np.int32]
    cosines: Vector
    searches: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]
    scores: Vector
    sizes: npt.NDArray[np.int64]
    thresholds: Vector

    @staticmethod
    def of(dim: int, requests: Sequence[Request], limit: int) -> Scratch:
        """Return memory for the nearest `limit` items of each request."""
        vectors, searches, size = 3 * LISTS, len(requests) * LISTS, pool_size(limit)
        return Scratch(
            requests=np.array(requests, dtype=np.int32).reshape(-1, 2),
            factors=Factors(
                np.zeros((vectors, -(-dim // BYTES) * BYTES), dtype=np.int8), np.empty(vectors, dtype=np.int32)
            ),
            norms=np.empty(vectors, dtype=np.float32),
            products=np.empty((vectors, BLOCK), dtype=np.int32),
            cosines=np.empty(BLOCK, dtype=np.float32),
            searches=np.empty((searches, 5), dtype=np.int32),
            rows=np.empty((searches, size), dtype=np.int32),
            scores=np.empty((searches, size), dtype=np.float32),
            sizes=np.empty(searches, dtype=np.int64),
            thresholds=np.empty(searches, dtype=np.float32),
        )


def pool_size(limit: int) -> int:
    """Return how many rows a pool may hold."""
    return max(SLACK * limit, BLOCK) + BLOCK + 1


QUERY, VECTOR, UNSEEN, PLACE, SAME = range(5)
"""The columns of `Scratch.searches`."""
_SCRATCH = types.NamedTuple(
    (
        int32[:, ::1], FACTORS, float32[::1], int32[:, ::1], float32[::1], int32[:, ::1], int32[:, ::1],
        float32[:, ::1], int64[::1], float32[::1],
    ),
    Scratch,
)  # fmt: skip


@kernel(void(COLUMNS, int64, int8[:, :, ::1], float32[:, ::1], _SCRATCH, HITS), allocates=False)
def find_nearest(
    columns: Columns, used: int, vectors: Int8, inverse_norms: Vector, scratch: Scratch, hits: Hits
) -> None:
    """Write the nearest of the first `used` rows by cosine to the `vectors` (n, 3, dim) of queries.

    `inverse_norms` are (n, 3), 0 for a vector that a query does not have.

    A block of items is multiplied with all vectors of LISTS queries while it is in the cache. For each search, the rows
    whose cosine can still be among the best enter a pool. A full pool is cut to the best, which raises the threshold.
    """
    limit, capacity = hits.rows.shape[2], scratch.rows.shape[1] - 1
    searches, pools = scratch.searches, scratch.sizes
    for first in range(0, len(vectors), LISTS):
        present, number = arrange(first, vectors, inverse_norms, scratch)
        # Without a vector or a limit there are no rounds: the searches below write empty hits.
        for start in range(0, used if present > 0 and limit > 0 else 0, BLOCK):
            length = min(BLOCK, used - start)
            # All vectors at once, while the block is in the cache: reading the items from memory is most of the time of
            # a search.
            multiply(columns, start, length, scratch.factors, present, scratch.products)
            for search in range(number):
                if searches[search, SAME] >= 0:
                    continue
                write_cosines(columns, start, length, searches[search], scratch)
                rows, scores = scratch.rows[search], scratch.scores[search]
                cosines, threshold = scratch.cosines[:length], scratch.thresholds[search]
                size = collect(start, cosines, threshold, rows, scores, pools[search])
                # The pool always has room for the next block and the one entry that `collect` writes beyond it.
                if size > capacity - BLOCK:
                    size, scratch.thresholds[search] = cut(rows, scores, columns.keys, size, limit)
                pools[search] = size
        for search in range(number):
            query, place, same = searches[search, QUERY], searches[search, PLACE], searches[search, SAME]
            if same < 0:
                size = pools[search]
                rows, scores = scratch.rows[search, :size], scratch.scores[search, :size]
                write_best(columns.keys, rows, scores, hits, query, place)
            else:
                # An earlier search of the query has the same result: its hits are copied.
                other = searches[same, PLACE]
                hits.counts[query, place] = hits.counts[query, other]
                for rank in range(hits.counts[query, other]):
                    hits.rows[query, place, rank] = hits.rows[query, other, rank]
                    hits.scores[query, place, rank] = hits.scores[query, other, rank]


@helper
def arrange(first: int, vectors: Int8, inverse_norms: Vector, scratch: Scratch) -> tuple[int, int]:
    """List the searches of up to LISTS queries from `first` on; return how many vectors and searches there are.

    Equal vectors of a query are multiplied once. Several requests may refer to one vector, and the short-term and the
    long-term intent of a new shopper are equal.
    """
    requests = scratch.requests
    present = number = 0
    for query in range(first, min(first + LISTS, len(vectors))):
        own_vectors, own_searches = present, number
        for request in range(len(requests)):
            slot = vector_of(inverse_norms, query, requests[request, 0])
            if slot < 0:
                continue
            # Only vectors of the same query are compared: those of two shoppers are hardly ever equal.
            vector = own_vectors
            while vector < present and not is_same(scratch.factors.vectors[vector], vectors[query, slot]):
                vector += 1
            if vector == present:
                for place in range(vectors.shape[2]):
                    scratch.factors.vectors[vector, place] = vectors[query, slot, place]
                scratch.factors.shifts[vector] = shift(scratch.factors.vectors[vector])
                scratch.norms[vector] = inverse_norms[query, slot]
                present += 1
            search = scratch.searches[number]
            search[QUERY], search[VECTOR], search[PLACE] = query, vector, requests[request, 1]
            # A copy refers to a search that is itself no copy, so results are copied once.
            search[UNSEEN] = requests[request, 0] == FOREMOST
            search[SAME] = -1
            for other in range(own_searches, number):
                before = scratch.searches[other]
                if before[SAME] < 0 and before[VECTOR] == vector and before[UNSEEN] == search[UNSEEN]:
                    search[SAME] = other
            # Above ABSENT and below every cosine: until the first cut all rows enter except those that must not be
            # found.
            scratch.sizes[number], scratch.thresholds[number] = 0, ABSENT + 1
            number += 1
    return present, number


@helper
def is_same(padded: Int8, vector: Int8) -> bool:
    """Return whether a padded vector equals this one."""
    differences = np.int32(0)
    for place in range(len(vector)):
        differences = np.int32(differences + np.int32(padded[place] != vector[place]))
    return bool(differences == 0)


@helper
def write_cosines(columns: Columns, start: int, length: int, search: npt.NDArray[np.int32], scratch: Scratch) -> None:
    """Write the cosines of a block of rows; ABSENT for rows that a search must not find."""
    # Slices instead of `start + item`: only then does the loop compile to vector instructions, seven times as fast.
    norms = columns.inverse_norms[start : start + length]
    available = columns.available[start : start + length]
    products, norm, cosines = scratch.products[search[VECTOR]], scratch.norms[search[VECTOR]], scratch.cosines
    for item in range(length):
        cosine = np.float32(products[item]) * norm * norms[item]
        cosines[item] = cosine if available[item] else np.float32(ABSENT)
    if search[UNSEEN]:
        seen = columns.seen[start : start + length]
        for item in range(length):
            cosines[item] = np.float32(ABSENT) if seen[item] else cosines[item]


@helper
def collect(start: int, cosines: Vector, threshold: np.float32, rows: Rows, scores: Vector, size: int) -> int:
    """Add the rows of a block that reach the threshold to a pool, and return how many it holds.

    A row is written first and then counted if it belongs in the pool, so the pool needs room for one more. This avoids
    a branch that no processor predicts.
    """
    for begin in range(0, len(cosines), GROUP):
        end = min(begin + GROUP, len(cosines))
        reached = np.int32(0)
        for item in range(begin, end):
            reached = np.int32(reached + np.int32(cosines[item] >= threshold))
        if reached > 0:
            for item in range(begin, end):
                rows[size], scores[size] = start + item, cosines[item]
                size += cosines[item] >= threshold
    return size


class Target(NamedTuple):
    """The vector of one search, int8 (dim,), 1 / ‖vector‖, and whether it is for new items only."""

    vector: Int8
    norm: np.float32
    only_new: bool


_TARGET = types.NamedTuple((int8[::1], float32, boolean), Target)


@kernel(void(COLUMNS, _TARGET, int32[::1], HITS, int64, int64))
def find_nearest_of_rows(columns: Columns, target: Target, rows: Rows, hits: Hits, query: int, place: int) -> None:
    """Write the nearest of some distinct `rows` (m,) as the hits of one source for one query."""
    vector, norm = target.vector, target.norm
    found = np.empty(len(rows), dtype=np.int32)
    scores = np.empty(len(rows), dtype=np.float32)
    size = 0
    for row in rows:
        if columns.available[row] and not (target.only_new and columns.seen[row]):
            cosine = np.float32(dot(vector, columns.vectors[row])) * norm * columns.inverse_norms[row]
            found[size], scores[size] = row, cosine
            size += 1
    write_best(columns.keys, found[:size], scores[:size], hits, query, place)
