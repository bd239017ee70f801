"""The best rows by score: a bounded binary heap whose root is the worst row kept, and its order at the end.

Rows are ranked by falling score, ties by rising stable key, so that the order never depends on how rows came. A search
of very many rows collects a pool of those that can still be among the best, and now and then drops the others
(`keep_best`): that costs a fifth of a heap, which moves log(limit) rows for each one that it takes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import helper
from inference.retrieval.hits import Hits
from inference.types import Keys, Vector

Rows = npt.NDArray[np.int32]

GAPS = (701, 301, 132, 57, 23, 10, 4, 1)


@helper
def is_better(score: np.float32, key: np.uint64, other_score: np.float32, other_key: np.uint64) -> bool:
    """Tell whether a row ranks before another one."""
    return bool(score > other_score or (score == other_score and key < other_key))


@helper
def swap(rows: Rows, scores: Vector, one: int, other: int) -> None:
    """Exchange two entries."""
    rows[one], rows[other] = rows[other], rows[one]
    scores[one], scores[other] = scores[other], scores[one]


@helper
def sift_down(rows: Rows, scores: Vector, keys: Keys, start: int, size: int) -> None:
    """Let the entry at `start` sink until no child is worse than it."""
    at = start
    while True:
        child = 2 * at + 1
        if child >= size:
            return
        other = child + 1
        if other < size and is_better(scores[child], keys[rows[child]], scores[other], keys[rows[other]]):
            child = other
        if not is_better(scores[at], keys[rows[at]], scores[child], keys[rows[child]]):
            return
        swap(rows, scores, at, child)
        at = child


@helper
def offer(rows: Rows, scores: Vector, keys: Keys, size: int, row: int, score: np.float32) -> int:
    """Keep a row if it is among the best `len(rows)` so far, and return how many are kept.

    `rows` (limit,) and `scores` (limit,) hold the heap; `keys` are the stable keys of all rows.
    """
    if size == len(rows):
        if size == 0 or not is_better(score, keys[row], scores[0], keys[rows[0]]):
            return size
        rows[0], scores[0] = row, score
        sift_down(rows, scores, keys, 0, size)
        return size
    at = size
    rows[at], scores[at] = row, score
    while at > 0:
        parent = (at - 1) // 2
        if not is_better(scores[parent], keys[rows[parent]], scores[at], keys[rows[at]]):
            break
        swap(rows, scores, at, parent)
        at = parent
    return size + 1


@helper
def sort_heap(rows: Rows, scores: Vector, keys: Keys, size: int) -> None:
    """Put the `size` entries of a heap in order, the best first; it needs no memory of its own."""
    for last in range(size - 1, 0, -1):
        swap(rows, scores, 0, last)
        sift_down(rows, scores, keys, 0, last)


@helper
def divide(rows: Rows, scores: Vector, keys: Keys, start: int, end: int) -> int:
    """Put better entries of `start:end` before worse ones, and return where the entry lies that divides them.

    Hoare's partition around the median of the first, the middle and the last entry, of at least three.
    """
    middle, last = (start + end) // 2, end - 1
    if is_better(scores[middle], keys[rows[middle]], scores[start], keys[rows[start]]):
        swap(rows, scores, start, middle)
    if is_better(scores[last], keys[rows[last]], scores[middle], keys[rows[middle]]):
        swap(rows, scores, middle, last)
        if is_better(scores[middle], keys[rows[middle]], scores[start], keys[rows[start]]):
            swap(rows, scores, start, middle)
    # The first entry now ranks before the median, the last one after it: both searches end there at the latest.
    swap(rows, scores, middle, start + 1)
    score, key = scores[start + 1], keys[rows[start + 1]]
    one, other = start + 2, last - 1
    while True:
        while one <= last and is_better(scores[one], keys[rows[one]], score, key):
            one += 1
        while is_better(score, key, scores[other], keys[rows[other]]):
            other -= 1
        if one >= other:
            break
        swap(rows, scores, one, other)
        one += 1
        other -= 1
    swap(rows, scores, start + 1, other)
    return other


@helper
def keep_best(rows: Rows, scores: Vector, keys: Keys, size: int, limit: int) -> None:
    """Move the best `limit` of `size` entries to the front, the worst of them last (quickselect; 0 < limit < size)."""
    start, end = 0, size
    while end - start > 2:
        at = divide(rows, scores, keys, start, end)
        if at == limit - 1:
            return
        if at < limit - 1:
            start = at + 1
        else:
            end = at
    if end - start == 2 and is_better(scores[end - 1], keys[rows[end - 1]], scores[start], keys[rows[start]]):
        swap(rows, scores, start, end - 1)


@helper
def sort_best_first(rows: Rows, scores: Vector, keys: Keys, size: int) -> None:
    """Put `size` entries in order, the best first.

    Shell's sort with the gaps of Ciura 2001, doi:10.1007/3-540-44669-9_12: for a few hundred entries as fast as
    quicksort, and it needs no other memory.
    """
    gap = 701
    while gap < size:
        gap = 9 * gap // 4
    while gap > 0:
        for place in range(gap, size):
            row, score = rows[place], scores[place]
            key = keys[row]
            at = place
            while at >= gap and is_better(score, key, scores[at - gap], keys[rows[at - gap]]):
                rows[at], scores[at] = rows[at - gap], scores[at - gap]
                at -= gap
            rows[at], scores[at] = row, score
        gap = next_gap(gap)


@helper
def next_gap(gap: int) -> int:
    """Return the gap after this one, 0 after 1."""
    if gap > 701:
        return gap * 4 // 9
    for smaller in GAPS:
        if smaller < gap:
            return smaller
    return 0


@helper
def write_best(keys: Keys, rows: Rows, scores: Vector, size: int, hits: Hits, query: int, place: int) -> None:
    """Write the best of a pool, in order, as what a source found for a query."""
    count = min(size, hits.rows.shape[2])
    if 0 < count < size:
        keep_best(rows, scores, keys, size, count)
    sort_best_first(rows, scores, keys, count)
    for rank in range(count):
        hits.rows[query, place, rank], hits.scores[query, place, rank] = rows[rank], scores[rank]
    hits.counts[query, place] = count
