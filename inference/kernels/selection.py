"""The best rows by score, and their order: by falling score, ties by rising stable key, however the rows came.

A search collects a pool of rows that can still be among the best, and now and then cuts it. Cutting and ranking count
scores against a threshold, over and over: those loops become vector instructions and have no branch that a processor
guesses wrong. That is several times as fast as a heap or quicksort for the few hundred rows of a pool.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import helper
from inference.retrieval.hits import Hits
from inference.types import Keys, Vector

Rows = npt.NDArray[np.int32]

VACANT = -1
"""In place of a row."""
SLACK = 8
"""A cut may keep one row in so many above what is wanted: that spares the last steps of the bisection."""
BISECTIONS = 32
"""More steps than that: rows of almost equal scores are left to quickselect."""
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
def count_reaching(scores: Vector, threshold: np.float32) -> int:
    """Return how many scores reach a threshold."""
    count = np.int32(0)
    # By place: a loop over the values themselves does not become vector instructions.
    for place in range(len(scores)):
        count = np.int32(count + np.int32(scores[place] >= threshold))
    return int(count)


@helper
def count_above(scores: Vector, threshold: np.float32) -> int:
    """Return how many scores are above a threshold."""
    count = np.int32(0)
    # By place: a loop over the values themselves does not become vector instructions.
    for place in range(len(scores)):
        count = np.int32(count + np.int32(scores[place] > threshold))
    return int(count)


@helper
def cut(rows: Rows, scores: Vector, keys: Keys, size: int, limit: int) -> tuple[int, np.float32]:
    """Drop most of the entries that are not among the best `limit` (0 < limit < size).

    Returns how many are left, at the front and in no order, between `limit` and a little more, and the least score
    that another entry needs to be among the best.
    """
    held = scores[:size]
    low, high = held[0], held[0]
    for score in held:
        low, high = min(low, score), max(high, score)
    # At least `limit` reach `low`, and fewer reach what is above `high`. NaN never occurs.
    reaching, most = size, limit + limit // SLACK
    for _ in range(BISECTIONS):
        middle = np.float32(0.5) * (low + high)
        count = count_reaching(held, middle)
        if count < limit:
            high = middle
        else:
            low, reaching = middle, count
        if reaching <= most:
            break
    if reaching > most:
        keep_best(rows, scores, keys, size, limit)
        return limit, scores[limit - 1]
    kept = 0
    for place in range(size):
        rows[kept], scores[kept] = rows[place], scores[place]
        kept += scores[place] >= low
    return kept, low


@helper
def write_in_order(rows: Rows, scores: Vector, keys: Keys, size: int, to_rows: Rows, to_scores: Vector) -> None:
    """Write the best of `size` entries, in order, as many as there is room for.

    Entries of one score share the places from the number of better ones on. Among them they are inserted by their key.
    """
    held, room = scores[:size], len(to_rows)
    to_rows[:] = VACANT
    for place in range(size):
        row, score = rows[place], scores[place]
        at = count_above(held, score)
        while at < room and to_rows[at] != VACANT and keys[to_rows[at]] < keys[row]:
            at += 1
        while at < room and row != VACANT:
            to_scores[at] = score
            to_rows[at], row = row, to_rows[at]
            at += 1


@helper
def select(keys: Keys, rows: Rows, scores: Vector, size: int, to_rows: Rows, to_scores: Vector) -> int:
    """Write the best of a pool of `size` entries, in order, as many as there is room for; return how many.

    The pool is left in another order.
    """
    limit = len(to_rows)
    count = min(size, limit)
    if size > limit + limit // SLACK and limit > 0:
        size, _ = cut(rows, scores, keys, size, limit)
    write_in_order(rows, scores, keys, size, to_rows, to_scores)
    return count


@helper
def write_best(keys: Keys, rows: Rows, scores: Vector, size: int, hits: Hits, query: int, place: int) -> None:
    """Write the best of a pool, in order, as what a source found for a query."""
    to_rows, to_scores = hits.rows[query, place], hits.scores[query, place]
    hits.counts[query, place] = select(keys, rows, scores, size, to_rows, to_scores)
