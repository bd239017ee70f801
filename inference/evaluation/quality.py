"""How good ranked lists are: hit rate, MRR and NDCG at k, over lists of labelled candidates.

Means over the lists where something would have counted, also where retrieval found nothing of it: what is not
on the list cannot be ranked, and the shopper does not get it either way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over `lists` lists, each in [0, 1].

    Attributes:
        hit_rate: lists with an item that counts among the first k.
        mrr: 1 / the rank of the first item that counts, 0 beyond k.
        ndcg: Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418, with the label as gain.
    """

    lists: int
    hit_rate: float
    mrr: float
    ndcg: float


def quality(scores: Floats, labels: Floats | Integers, groups: Integers, relevant: Integers, k: int = 20) -> Quality:
    """Measure the order that `scores` give to the candidates of each list; ties keep the order given.

    Args:
        scores: one for each candidate, (n,).
        labels: 0 for what does not count, else its gain, (n,).
        groups: the list of each candidate, 0 to lists - 1, (n,).
        relevant: how many items would have counted for each list, (lists,): more than the labels say where retrieval
            missed some. Missed ones count with the gain 1 in the ideal list of NDCG. Lists with 0 are passed over.
        k: how much of a list is seen.
    """
    ideal, hits, ranks = np.zeros(len(relevant)), np.zeros(len(relevant)), np.zeros(len(relevant))
    gained = np.zeros(len(relevant))
    discounts = 1 / np.log2(np.arange(2, k + 2))
    order = np.lexsort((-np.asarray(scores), groups))
    bounds = np.searchsorted(np.asarray(groups)[order], np.arange(len(relevant) + 1))
    judged = relevant > 0
    for each in np.flatnonzero(judged).tolist():
        gains = np.asarray(labels)[order[bounds[each] : bounds[each + 1]]].astype(np.float64)
        missed = max(int(relevant[each]) - int((gains > 0).sum()), 0)
        best = np.sort(np.concatenate([gains[gains > 0], np.ones(missed)]))[::-1][:k]
        ideal[each] = best @ discounts[: len(best)]
        seen = gains[:k]
        gained[each] = seen @ discounts[: len(seen)]
        places = np.flatnonzero(seen)
        if len(places):
            hits[each], ranks[each] = 1.0, 1 / (1 + places[0])
    ndcg = np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0)
    means = [float(each[judged].mean()) if judged.any() else 0.0 for each in (hits, ranks, ndcg)]
    return Quality(int(judged.sum()), *means)
