"""Quality of ranked lists: hit rate, MRR and NDCG at k, over lists of labelled candidates.

Figures are means over the lists with at least one relevant item, also if retrieval found none of them: an item that
retrieval misses cannot be ranked, and the shopper does not get it either way.
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
        hit_rate: the share of lists with a relevant item among the first k.
        mrr: 1 / the rank of the first relevant item, 0 beyond k.
        ndcg: Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418, with the label as gain.
    """

    lists: int
    hit_rate: float
    mrr: float
    ndcg: float


def quality(scores: Floats, labels: Floats | Integers, groups: Integers, relevant: Integers, k: int = 20) -> Quality:
    """Measure the order of each list's candidates by `scores`; ties keep the order given.

    Args:
        scores: one for each candidate, (n,).
        labels: the gain of each candidate, 0 if it is not relevant, (n,).
        groups: the list of each candidate, 0 to lists - 1, (n,).
        relevant: the number of relevant items of each list, (lists,). It exceeds the number of labels above 0 if
            retrieval missed some. A missed item counts with the gain 1 in the ideal list of NDCG. Lists with 0 are
            skipped.
        k: the number of places that count.
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
