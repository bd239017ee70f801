"""What a search or a source found: rows in a settled order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inference.retrieval.columns import Rows
from inference.types import Keys, Vector


class Found(NamedTuple):
    """Rows of the catalogue (n,) by falling score (n,), float32; ties by stable key."""

    rows: Rows
    scores: Vector


def best(rows: Rows, scores: Vector, keys: Keys, limit: int) -> Found:
    """Select the best `limit` of distinct `rows` (n,) by `scores` (n,), ties by the key of the row, also at the cut.

    `keys` are those of all rows: only of a few they are needed.
    """
    if len(rows) > limit:
        (kept,) = (scores >= np.partition(scores, -limit)[-limit]).nonzero()
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((keys[rows], -scores))[:limit]
    return Found(rows[order], scores[order])
