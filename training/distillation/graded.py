"""NDCG of graded queries: the agreement of an order of items with the grades that people gave. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from training.distillation.corpus import Grades

K = 10

Floats = npt.NDArray[np.floating]


def ndcg(scores: Floats, grades: npt.NDArray[np.integer], k: int = K) -> float:
    """Return NDCG@k of the order by falling score, with the gain 2^grade − 1. Ties count in their worst order.

    Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418; the gain is that of Burges et al. 2005,
    doi:10.1145/1102351.1102363. An ideal of 0 gives 0.

    >>> round(ndcg(np.array([3.0, 2.0, 1.0]), np.array([0, 3, 1])), 3)
    0.644
    """
    gains = np.exp2(np.asarray(grades, dtype=np.float64)) - 1
    discounts = 1 / np.log2(np.arange(2, min(k, len(gains)) + 2))
    best = np.sort(gains)[::-1][:k] @ discounts
    order = np.lexsort((grades, -np.asarray(scores)))[:k]
    return float(gains[order] @ discounts / best) if best else 0.0


def mixed(graded: Sequence[Grades]) -> list[Grades]:
    """Return the queries whose items have more than one grade. For the others all orders are equally good."""
    return [each for each in graded if len(set(each.grades.tolist())) > 1]


def mean_ndcg(graded: Sequence[Grades], vector: Mapping[int, Floats] | Callable[[int], Floats]) -> float:
    """Return the mean NDCG@10 of the mixed queries by the cosine of the vectors of query and item."""
    get = vector.__getitem__ if isinstance(vector, Mapping) else vector
    found = [
        ndcg(np.array([get(item) for item in each.items.tolist()]) @ get(each.query), each.grades)
        for each in mixed(graded)
    ]
    return float(np.mean(found)) if found else 0.0
