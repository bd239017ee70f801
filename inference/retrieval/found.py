"""What a search or a source found: rows in a settled order."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from inference.retrieval.columns import Rows
from inference.retrieval.tally import Numbers, Pairs, Sums
from inference.types import Keys, Vector

ONE = int(np.float32(1).view(np.int32))
"""The bits of floats from 0 on, read as whole numbers, are in the order of the floats."""


class Found(NamedTuple):
    """Rows of the catalogue (n,) by falling score (n,), float32; ties by stable key."""

    rows: Rows
    scores: Vector


class Offers(NamedTuple):
    """What speaks for items as answers to several queries, in any order; what speaks for the same adds up.

    Attributes:
        queries: the number of the query, (n,).
        keys: the stable key of the item, (n,).
        weights: how much speaks for it, (n,), 0 or more; -inf where it is not to be offered, whatever else there is.
    """

    queries: Numbers
    keys: Keys
    weights: Sums


def best(rows: Rows, scores: Vector, keys: Keys, limit: int) -> Found:
    """Select the best `limit` of distinct `rows` (n,) by `scores` (n,), ties by the key of the row, also at the cut.

    `keys` are those of all rows: only of a few they are needed.
    """
    if len(rows) > limit:
        (kept,) = (scores >= np.partition(scores, -limit)[-limit]).nonzero()
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((keys[rows], -scores))[:limit]
    return Found(rows[order], scores[order])


def best_of_each(pairs: Pairs, scores: Vector, number: int, limit: int) -> list[Found | None]:
    """Select for each of `number` queries the best `limit` rows; None where there is none.

    `scores`, float32 (n,) in [0, 1], are those of the pairs.
    """
    # One whole number tells query, score and key, and so the order: 63 bits do for 4,000 queries and 2,000,000 rows.
    falling = pairs.queries * (ONE + 1) + (ONE - scores.view(np.int32))
    order = (falling * len(pairs.rows) + pairs.places).argsort()
    rows, scores = pairs.rows[pairs.places[order]], scores[order]
    starts = pairs.queries[order].searchsorted(np.arange(number + 1)).tolist()
    own = [slice(start, min(start + limit, end)) for start, end in pairwise(starts)]
    return [Found(rows[each], scores[each]) if each.start < each.stop else None for each in own]
