"""Maximal marginal relevance: a list whose items differ from one another, for a price in relevance."""

from __future__ import annotations

import numpy as np

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.types import Vector

CONSIDERED = 3
"""Candidates that a place may go to, as a multiple of the list's length."""


def diversify(rows: Rows, scores: Vector, catalogue: Catalogue, *, k: int, diversity: float) -> list[int]:
    """Choose the positions of `k` of `rows` (n,), which are in the order of their `scores` (n,), one after the other.

    Each place goes to the greatest (1 − d) · score / best − d · (greatest cosine to the items chosen before), with
    `diversity` d in [0, 1]; ties to the better score. Carbonell & Goldstein 1998, doi:10.1145/290941.291025.
    """
    n = min(len(rows), CONSIDERED * k)
    if diversity <= 0 or n < 2:
        return list(range(min(len(rows), k)))
    rows = rows[:n]
    vectors = catalogue.columns.vectors[rows] * catalogue.columns.inverse_norms[rows][:, None]
    relevance = (1 - diversity) * scores[:n] / max(float(scores[0]), 1e-9)
    nearest = np.full(n, -1.0, dtype=np.float32)
    left = np.ones(n, dtype=np.bool_)
    chosen = [0]
    while len(chosen) < min(k, n):
        left[chosen[-1]] = False
        np.maximum(nearest, vectors @ vectors[chosen[-1]], out=nearest)
        worth = np.where(left, relevance - diversity * nearest, -np.inf)
        chosen.append(int(worth.argmax()))
    return chosen
