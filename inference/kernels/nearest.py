"""The items nearest to the vectors of a batch of queries: exact sums of small integers, the best of them collected."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, float32, float64, int8, int32, int64, uint64, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.layouts import COLUMNS, HITS
from inference.kernels.selection import Rows, keep_best, write_best
from inference.queries import LONG_TERM, SEARCH, SHORT_TERM
from inference.retrieval.columns import Columns
from inference.retrieval.hits import Hits
from inference.types import Keys, Vector

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Requests = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

FOREMOST = 3
"""In place of a vector's: that of the search, else of the short-term intent, else of the long-term one; new items only.
"""
LISTS = 8
"""Queries whose vectors are compared with the items in one pass. With three vectors each they fit into the L1 cache."""
BLOCK = 128
"""Items whose cosines are held before the best are collected."""
GROUP = 16
"""Cosines that are looked at together: most groups hold none of the best."""
ABSENT = -3.0
"""In place of the cosine of a row that must not be found."""
SLACK = 4
"""A pool holds so many times the rows wanted before those out of reach are dropped."""


@helper
def dot(one: Int16, other: Int16) -> np.int32:
    """Return the exact inner product. 32 bits are enough up to `vectors.MAX_DIM`."""
    total = np.int32(0)
    for place in range(len(other)):
        total = np.int32(total + np.int32(one[place]) * np.int32(other[place]))
    return total


@helper
def same_vector(own: Int8, slot: int, places: npt.NDArray[np.int64]) -> int:
    """Return a slot of a query, among those that have a place, that holds the same vector (3, dim); -1 if none does.

    The intents of a shopper who came a moment ago are the same for the short and for the long term.
    """
    for other in range(3):
        if places[other] >= 0:
            differences = 0
            for place in range(own.shape[1]):
                differences += own[slot, place] != own[other, place]
            if differences == 0:
                return other
    return -1


@helper
def vector_of(inverse_norms: Vector, query: int, slot: int) -> int:
    """Return the place of the vector that a request is about, -1 if the query has none."""
    if slot == FOREMOST:
        if inverse_norms[query, SEARCH] > 0:
            return SEARCH
        slot = SHORT_TERM if inverse_norms[query, SHORT_TERM] > 0 else LONG_TERM
    return slot if inverse_norms[query, slot] > 0 else -1


@kernel(void(COLUMNS, int64, int8[:, :, ::1], float32[:, ::1], int32[:, ::1], HITS))
def find_nearest(
    columns: Columns, used: int, vectors: Int8, inverse_norms: Vector, requests: Requests, hits: Hits
) -> None:
    """Write the nearest of the first `used` rows by cosine, for several sources.

    A request (r, 2) is the place of a vector or FOREMOST, and the place of the source in `hits`. `vectors` are
    (n, 3, dim), their `inverse_norms` (n, 3).

    Each item's vector is widened to 16 bits once and multiplied with all vectors of LISTS queries. A vector counts once
    where several requests are about it or a query has it twice. For each request the rows whose cosine can still be
    among the best go into a pool; a full pool is cut to the best and raises the threshold.
    """
    dim = vectors.shape[2]
    limit = hits.rows.shape[2]
    most = 3 * min(LISTS, len(vectors))
    widened = np.empty((most, dim), dtype=np.int16)
    norms = np.empty(most, dtype=np.float32)
    places = np.empty((LISTS, 3), dtype=np.int64)
    row_vector = np.empty(dim, dtype=np.int16)
    products = np.empty((most, BLOCK), dtype=np.int32)
    cosines = np.empty(BLOCK, dtype=np.float32)
    room = max(SLACK * limit, BLOCK) + BLOCK
    pool_rows = np.empty((LISTS, len(requests), room), dtype=np.int32)
    pool_scores = np.empty((LISTS, len(requests), room), dtype=np.float32)
    sizes = np.empty((LISTS, len(requests)), dtype=np.int64)
    thresholds = np.empty((LISTS, len(requests)), dtype=np.float32)
    for first in range(0, len(vectors), LISTS):
        lists = min(LISTS, len(vectors) - first)
        # The vectors that some request is about, next to one another.
        present = 0
        places[:] = -1
        sizes[:] = 0
        thresholds[:] = ABSENT + 1
        for query in range(lists):
            for request in range(len(requests)):
                slot = vector_of(inverse_norms, first + query, requests[request, 0])
                if slot >= 0 and places[query, slot] < 0:
                    same = same_vector(vectors[first + query], slot, places[query])
                    if same >= 0:
                        places[query, slot] = places[query, same]
                        continue
                    places[query, slot] = present
                    norms[present] = inverse_norms[first + query, slot]
                    for place in range(dim):
                        widened[present, place] = vectors[first + query, slot, place]
                    present += 1
        if present == 0:
            continue
        for start in range(0, used, BLOCK):
            length = min(BLOCK, used - start)
            for item in range(length):
                vector = columns.vectors[start + item]
                for place in range(dim):
                    row_vector[place] = vector[place]
                for number in range(present):
                    products[number, item] = dot(widened[number], row_vector)
            for query in range(lists):
                for request in range(len(requests)):
                    slot = vector_of(inverse_norms, first + query, requests[request, 0])
                    if slot < 0:
                        continue
                    number = places[query, slot]
                    write_cosines(columns, start, length, products[number], norms[number], cosines)
                    if requests[request, 0] == FOREMOST:
                        seen = columns.seen[start : start + length]
                        for item in range(length):
                            cosines[item] = np.float32(ABSENT) if seen[item] else cosines[item]
                    size = sizes[query, request]
                    rows, scores = pool_rows[query, request], pool_scores[query, request]
                    size = collect(start, length, cosines, thresholds[query, request], rows, scores, size)
                    if size > room - BLOCK and size > limit:
                        keep_best(rows, scores, columns.keys, size, limit)
                        size = limit
                        thresholds[query, request] = scores[limit - 1]
                    sizes[query, request] = size
        for query in range(lists):
            for request in range(len(requests)):
                rows, scores = pool_rows[query, request], pool_scores[query, request]
                write_best(columns.keys, rows, scores, sizes[query, request], hits, first + query, requests[request, 1])


@helper
def write_cosines(
    columns: Columns, start: int, length: int, products: npt.NDArray[np.int32], norm: np.float32, cosines: Vector
) -> None:
    """Write the cosines of a block of rows; ABSENT for rows that are not available."""
    # Slices instead of `start + item`: only then the loop becomes vector instructions, seven times as fast.
    norms = columns.inverse_norms[start : start + length]
    available = columns.available[start : start + length]
    for item in range(length):
        cosine = np.float32(products[item]) * norm * norms[item]
        cosines[item] = cosine if available[item] else np.float32(ABSENT)


@helper
def collect(
    start: int, length: int, cosines: Vector, threshold: np.float32, rows: Rows, scores: Vector, size: int
) -> int:
    """Add the rows of a block that reach the threshold to a pool, and return how many it holds."""
    for begin in range(0, length, GROUP):
        end = min(begin + GROUP, length)
        reached = 0
        for item in range(begin, end):
            reached += cosines[item] >= threshold
        if reached == 0:
            continue
        for item in range(begin, end):
            if cosines[item] >= threshold:
                rows[size], scores[size] = start + item, cosines[item]
                size += 1
    return size


@kernel(void(COLUMNS, int8[::1], float32, boolean, int32[::1], HITS, int64, int64))
def find_among(
    columns: Columns, vector: Int8, norm: np.float32, unseen: bool, rows: Rows, hits: Hits, query: int, place: int
) -> None:
    """Write the nearest among some distinct `rows` (m,), if need be those of new items only."""
    found = np.empty(len(rows), dtype=np.int32)
    scores = np.empty(len(rows), dtype=np.float32)
    size = 0
    for row in rows:
        if columns.available[row] and not (unseen and columns.seen[row]):
            product = np.int32(0)
            for place_in in range(len(vector)):
                product = np.int32(product + np.int32(vector[place_in]) * np.int32(columns.vectors[row, place_in]))
            found[size], scores[size] = row, np.float32(product) * norm * columns.inverse_norms[row]
            size += 1
    write_best(columns.keys, found, scores, size, hits, query, place)


@kernel(void(uint64[::1], boolean[::1], int64[::1], float64[::1], HITS, int64, int64))
def find_best(
    keys: Keys, available: Bools, rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], hits: Hits,
    query: int, place: int,
) -> None:  # fmt: skip
    """Write the best of some distinct `rows` (m,) by given scores (m,), of those that are available."""
    found = np.empty(len(rows), dtype=np.int32)
    kept = np.empty(len(rows), dtype=np.float32)
    size = 0
    for number in range(len(rows)):
        if available[rows[number]]:
            found[size], kept[size] = rows[number], scores[number]
            size += 1
    write_best(keys, found, kept, size, hits, query, place)
