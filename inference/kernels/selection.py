"""The best rows by score, in order: by falling score, ties by rising stable key. The order of arrival does not matter.

A search collects a pool of rows that can still be among the best, and cuts it from time to time. Cutting and ranking
count scores against a threshold, again and again. These loops compile to vector instructions without branches that a
processor can mispredict. For the few hundred rows of a pool this is several times as fast as a heap or quicksort.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import helper
from inference.retrieval.shortlists import Hits
from inference.types import Keys, Vector

Rows = npt.NDArray[np.int32]

VACANT = -1
"""Value of an output place that has no row yet."""
SLACK = 8
"""A cut may keep one row in SLACK more than wanted, which saves the last steps of the bisection."""
BISECTIONS = 32
"""Greatest number of steps of a bisection. Rows of almost equal scores need more and are left to quickselect."""
GAPS = (701, 301, 132, 57, 23, 10, 4, 1)


@helper
def is_better(score: np.float32, key: np.uint64, other_score: np.float32, other_key: np.uint64) -> bool:
    """Return whether a row ranks before another one."""
    return bool(score > other_score or (score == other_score and key < other_key))


@helper
def swap(rows: Rows, scores: Vector, one: int, other: int) -> None:
    """Exchange two entries."""
    rows[one], rows[other] = rows[other], rows[one]
    scores[one], scores[other] = scores[other], scores[one]


@helper
def divide(rows: Rows, scores: Vector, keys: Keys, start: int, end: int) -> int:
    """Move better entries of `start:end` before worse ones, and return the place of the entry that divides them.

    Hoare's partition around the median of the first, the middle and the last entry, of at least three entries.
    """
    middle, last = (start + end) // 2, end - 1
    if is_better(scores[middle], keys[rows[middle]], scores[start], keys[rows[start]]):
        swap(rows, scores, start, middle)
    if is_better(scores[last], keys[rows[last]], scores[middle], keys[rows[middle]]):
        swap(rows, scores, middle, last)
        if is_better(scores[middle], keys[rows[middle]], scores[start], keys[rows[start]]):
            swap(rows, scores, start, middle)
    # The first entry ranks before the median and the last one after it, so both scans end there at the latest.
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
    # `divide` takes three entries at least. Two are compared here.
    if end - start == 2 and is_better(scores[end - 1], keys[rows[end - 1]], scores[start], keys[rows[start]]):
        swap(rows, scores, start, end - 1)


@helper
def sort_best_first(rows: Rows, scores: Vector, keys: Keys, size: int) -> None:
    """Sort `size` entries, the best first.

    Shell's sort with the gaps of Ciura 2001, doi:10.1007/3-540-44669-9_12. For a few hundred entries it is as fast as
    quicksort, and it needs no other memory.
    """
    # Ciura's gaps end at 701. Greater ones grow by 9/4 here, and `next_gap` shrinks them by the same factor.
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
    # By index: a loop over the values does not compile to vector instructions.
    for place in range(len(scores)):
        count = np.int32(count + np.int32(scores[place] >= threshold))
    return int(count)


@helper
def count_above(scores: Vector, threshold: np.float32) -> int:
    """Return how many scores are above a threshold."""
    count = np.int32(0)
    # By index: a loop over the values does not compile to vector instructions.
    for place in range(len(scores)):
        count = np.int32(count + np.int32(scores[place] > threshold))
    return int(count)


@helper
def cut(rows: Rows, scores: Vector, keys: Keys, size: int, limit: int) -> tuple[int, np.float32]:
    """Drop most of the entries that are not among the best `limit` (0 < limit < size).

    The entries left are at the front, in no order: `limit` of them or a few more. Return their number, and the least
    score that another entry needs to be among the best.
    """
    held = scores[:size]
    low, high = held[0], held[0]
    for score in held:
        low, high = min(low, score), max(high, score)
    # Bisection for a threshold. At all times at least `limit` scores reach `low`, and fewer are above `high`. NaN never
    # occurs.
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
        # Too many scores are almost equal to `low`: only an exact selection, ties by key, separates them.
        keep_best(rows, scores, keys, size, limit)
        return limit, scores[limit - 1]
    # Each entry is written and then counted if it stays, which needs no branch.
    kept = 0
    for place in range(size):
        rows[kept], scores[kept] = rows[place], scores[place]
        kept += scores[place] >= low
    return kept, low


@helper
def write_in_order(rows: Rows, scores: Vector, keys: Keys, size: int, to_rows: Rows, to_scores: Vector) -> None:
    """Write the best of `size` entries, in order, as many as there is room for.

    The place of an entry is the number of better scores. Entries of equal score share the places from there on, where
    they are inserted by their key.
    """
    held, limit = scores[:size], len(to_rows)
    to_rows[:] = VACANT
    for place in range(size):
        row, score = rows[place], scores[place]
        at = count_above(held, score)
        while at < limit and to_rows[at] != VACANT and keys[to_rows[at]] < keys[row]:
            at += 1
        # All entries that move have the same score: such a group has as many places as entries, so it never reaches
        # those of the next.
        while at < limit and row != VACANT:
            to_scores[at] = score
            to_rows[at], row = row, to_rows[at]
            at += 1


@helper
def select(keys: Keys, rows: Rows, scores: Vector, size: int, to_rows: Rows, to_scores: Vector) -> int:
    """Write the best of a pool of `size` entries, in order, as many as there is room for; return how many.

    The order of the pool changes.
    """
    limit = len(to_rows)
    count = min(size, limit)
    if size > limit + limit // SLACK and limit > 0:
        size, _ = cut(rows, scores, keys, size, limit)
    write_in_order(rows, scores, keys, size, to_rows, to_scores)
    return count


@helper
def write_best(keys: Keys, rows: Rows, scores: Vector, hits: Hits, query: int, place: int) -> None:
    """Write the best of a pool, in order, as the hits of one source for one query."""
    to_rows, to_scores = hits.rows[query, place], hits.scores[query, place]
    hits.counts[query, place] = select(keys, rows, scores, len(rows), to_rows, to_scores)
