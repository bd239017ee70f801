"""Maximal marginal relevance: a list whose items differ from one another, for a price in relevance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import helper
from inference.retrieval.columns import Columns
from inference.types import Vector

CONSIDERED = 3
"""Candidates that a place may go to, as a multiple of the list's length."""

Rows = npt.NDArray[np.int32]


@helper
def diversify(rows: Rows, scores: Vector, columns: Columns, diversity: np.float32, chosen: Rows) -> None:
    """Fill `chosen` (k,) with positions of `rows` (n,), k ≤ n, which are in the order of their `scores` (n,).

    Each place goes to the greatest (1 − d) · score / best − d · (greatest cosine to the items chosen before), with
    `diversity` d in [0, 1]; ties to the better score. Carbonell & Goldstein 1998, doi:10.1145/290941.291025.

    Another chosen item can only lower what a candidate is worth. So a candidate's old worth is a bound, and only
    where it is the greatest of all must the candidate be compared with the items chosen since (lazy evaluation:
    Minoux 1978, doi:10.1007/BFb0006528).
    """
    relevance, nearest = np.empty(len(rows), dtype=np.float32), np.empty(len(rows), dtype=np.float32)
    compared = np.zeros(len(rows), dtype=np.int64)  # how many of the chosen a candidate was compared with
    left = np.empty(len(rows), dtype=np.bool_)
    for each in range(len(rows)):
        relevance[each] = (np.float32(1) - diversity) * scores[each] / max(scores[0], np.float32(1e-9))
        nearest[each], left[each] = -1, each > 0
    if len(chosen):
        chosen[0] = 0
    for place in range(1, len(chosen)):
        while True:
            best, greatest = -1, np.float32(-np.inf)
            for each in range(len(rows)):
                worth = relevance[each] - diversity * nearest[each]
                if left[each] and (best < 0 or worth > greatest):
                    best, greatest = each, worth
            if compared[best] == place:
                break
            for other in range(compared[best], place):
                nearest[best] = max(nearest[best], cosine(columns, rows[best], rows[chosen[other]]))
            compared[best] = place
        chosen[place] = best
        left[best] = False


@helper
def cosine(columns: Columns, row: int, other: int) -> np.float32:
    """Return the cosine of the items in two rows."""
    total = np.int32(0)
    for d in range(columns.vectors.shape[1]):
        total = np.int32(total + np.int32(columns.vectors[row, d]) * np.int32(columns.vectors[other, d]))
    return np.float32(np.float32(total) * columns.inverse_norms[row] * columns.inverse_norms[other])
