"""Maximal marginal relevance: a list whose items differ from one another, for a price in relevance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import helper
from inference.retrieval.columns import Columns
from inference.types import Vector

CONSIDERED = 3
"""Candidates that a place may go to, as a multiple of the list's length."""

Rows = npt.NDArray[np.int32]


class Scratch(NamedTuple):
    """What `diversify` writes to, as long as its rows.

    Attributes:
        relevance: the candidate's share in its worth, float32.
        nearest: its greatest cosine to the items that it was compared with, float32.
        compared: how many of the chosen it was compared with, int32; -1 once it is one of them.
    """

    relevance: Vector
    nearest: Vector
    compared: Rows


@helper
def diversify(
    rows: Rows, scores: Vector, columns: Columns, diversity: np.float32, scratch: Scratch, chosen: Rows
) -> None:
    """Fill `chosen` (k,) with positions of `rows` (n,), k ≤ n, which are in the order of their `scores` (n,).

    Each place goes to the greatest (1 − d) · score / best − d · (greatest cosine to the items chosen before), with
    `diversity` d in [0, 1]; ties to the better score. Carbonell & Goldstein 1998, doi:10.1145/290941.291025.

    Another chosen item can only lower what a candidate is worth. So a candidate's old worth is a bound, and only
    where it is the greatest of all must the candidate be compared with the items chosen since (lazy evaluation:
    Minoux 1978, doi:10.1007/BFb0006528).
    """
    relevance, nearest, compared = scratch
    for each in range(len(rows)):
        relevance[each] = (np.float32(1) - diversity) * scores[each] / max(scores[0], np.float32(1e-9))
        nearest[each], compared[each] = -1, 0
    taken = np.int32(-1)
    if len(chosen):
        chosen[0], compared[0] = 0, taken
    for place in range(1, len(chosen)):
        while True:
            best, greatest = -1, np.float32(-np.inf)
            for each in range(len(rows)):
                worth = relevance[each] - diversity * nearest[each]
                if compared[each] != taken and (best < 0 or worth > greatest):
                    best, greatest = each, worth
            if compared[best] == place:
                break
            for other in range(compared[best], place):
                nearest[best] = max(nearest[best], cosine(columns, rows[best], rows[chosen[other]]))
            compared[best] = place
        chosen[place] = best
        compared[best] = taken


@helper
def cosine(columns: Columns, row: int, other: int) -> np.float32:
    """Return the cosine of the items in two rows."""
    total = np.int32(0)
    for d in range(columns.vectors.shape[1]):
        total = np.int32(total + np.int32(columns.vectors[row, d]) * np.int32(columns.vectors[other, d]))
    return np.float32(np.float32(total) * columns.inverse_norms[row] * columns.inverse_norms[other])
