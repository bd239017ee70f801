"""Maximal marginal relevance: gives up some relevance for a list whose items differ from one another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import helper
from inference.retrieval.columns import Columns
from inference.types import Vector

CONSIDERED = 3
"""Number of candidates that are considered for a list, as a multiple of its length."""

Rows = npt.NDArray[np.int32]


class Scratch(NamedTuple):
    """Scratch memory of `diversify`, as long as its rows.

    Attributes:
        relevance: the relevance term of each candidate's value, float32.
        nearest: its greatest cosine to the chosen items that it was compared with, float32.
        compared: the number of chosen items that it was compared with, int32; -1 once it is chosen itself.
    """

    relevance: Vector
    nearest: Vector
    compared: Rows


@helper
def diversify(
    rows: Rows, scores: Vector, columns: Columns, diversity: np.float32, scratch: Scratch, chosen: Rows
) -> None:
    """Fill `chosen` (k,) with positions of `rows` (n,), k ≤ n, which are in the order of their `scores` (n,).

    Each place goes to the greatest value (1 − d) · score / best score − d · (greatest cosine to the items chosen
    before), with `diversity` d in [0, 1]; ties to the better score. Carbonell & Goldstein 1998,
    doi:10.1145/290941.291025.

    Each further chosen item can only lower the value of a candidate. So an old value is an upper bound. A candidate is
    compared with the items chosen since only if its bound is the greatest (lazy evaluation: Minoux 1978,
    doi:10.1007/BFb0006528). Without this, every candidate would be compared with every chosen item.
    """
    relevance, nearest, compared = scratch
    for each in range(len(rows)):
        relevance[each] = (np.float32(1) - diversity) * scores[each] / max(scores[0], np.float32(1e-9))
        # A cosine is at least −1, so the first bound is never too low.
        nearest[each], compared[each] = -1, 0
    taken = np.int32(-1)
    if len(chosen):
        chosen[0], compared[0] = 0, taken
    for place in range(1, len(chosen)):
        while True:
            best, greatest = -1, np.float32(-np.inf)
            for each in range(len(rows)):
                worth = relevance[each] - diversity * nearest[each]
                # Only a greater value replaces the best so far. Rows are in the order of their scores, so ties go to
                # the better score.
                if compared[each] != taken and (best < 0 or worth > greatest):
                    best, greatest = each, worth
            # The greatest bound is up to date, so no other candidate has a greater value.
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
