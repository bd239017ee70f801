"""The best rows by score: a bounded binary heap whose root is the worst row kept, and its order at the end.

Rows are ranked by falling score, ties by rising stable key, so that the order never depends on how rows came.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import helper
from inference.types import Keys, Vector

Rows = npt.NDArray[np.int32]


@helper
def is_better(score: np.float32, key: np.uint64, other_score: np.float32, other_key: np.uint64) -> bool:
    """Tell whether a row ranks before another one."""
    return bool(score > other_score or (score == other_score and key < other_key))


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
        rows[at], rows[child] = rows[child], rows[at]
        scores[at], scores[child] = scores[child], scores[at]
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
        rows[at], rows[parent] = rows[parent], rows[at]
        scores[at], scores[parent] = scores[parent], scores[at]
        at = parent
    return size + 1


@helper
def sort_best_first(rows: Rows, scores: Vector, keys: Keys, size: int) -> None:
    """Put the `size` entries of a heap in order, the best first."""
    for last in range(size - 1, 0, -1):
        rows[0], rows[last] = rows[last], rows[0]
        scores[0], scores[last] = scores[last], scores[0]
        sift_down(rows, scores, keys, 0, last)
