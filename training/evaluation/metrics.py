"""Metrics of ranked lists at k: one value for each case, for averages and for the bootstrap. No I/O.

Definitions: Manning, Raghavan & Schütze 2008, chapter 8 (precision, recall, F1); Voorhees 1999 (MRR); Järvelin &
Kekäläinen 2002, doi:10.1145/582415.582418 (NDCG, with the grade as gain).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

METRICS = ("hr", "mrr", "ndcg", "recall", "precision", "f1")
NOTHING = -1
"""Filler of a list with fewer than k items."""

Lists = npt.NDArray[np.int32]
"""Ranked lists of item numbers, (cases, k); a shorter list is filled with NOTHING."""
Values = npt.NDArray[np.float64]
"""One value for each case, (cases,)."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The relevant items of each of n cases.

    Attributes:
        starts: the start of each case's targets in the other two arrays, int64 (n + 1,).
        items: item numbers, each once in a case, int32 (m,).
        grades: the grade of each, greater than 0, float32 (m,).
    """

    starts: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    grades: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def cases(self) -> npt.NDArray[np.int64]:
        """The case of each target, (m,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def take(self, cases: npt.NDArray[np.int64]) -> Targets:
        """Return the targets of some `cases`, in their order."""
        sizes = np.diff(self.starts)[cases]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        # The places of a case's targets are its old start plus 0, 1, 2, …
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes)
        places = np.repeat(self.starts[cases], sizes) + within
        return Targets(starts, self.items[places], self.grades[places])


def gains(lists: Lists, targets: Targets) -> npt.NDArray[np.float32]:
    """Return the grade of each place of each list, (cases, k); 0 for an item that is not relevant."""
    if not len(targets.items):
        return np.zeros(lists.shape, dtype=np.float32)
    # Case and item are combined into one integer, so one search in the sorted targets finds the grades of all places.
    width = int(max(targets.items.max(), lists.max(initial=0))) + 1
    wanted = targets.cases * width + targets.items
    order = np.argsort(wanted)
    wanted, grades = wanted[order], targets.grades[order]
    # NOTHING is -1, so a filler has the number of another case's last item. The mask below removes it.
    shown = np.arange(len(lists))[:, None] * width + lists
    place = np.minimum(np.searchsorted(wanted, shown), len(wanted) - 1)
    return np.where((wanted[place] == shown) & (lists != NOTHING), grades[place], np.float32(0.0))


def at_k(found: npt.NDArray[np.float32], targets: Targets, k: int) -> Mapping[str, Values]:
    """Return each of METRICS for each case over the first `k` columns of `found`, the gains (cases, at least k)."""
    seen = found[:, :k].astype(np.float64)
    hits = seen > 0
    number = hits.sum(axis=1)
    # `argmax` finds the first hit. Without one it is 0, so the rank is set to 1 and the reciprocal rank to 0 below.
    first = np.where(number > 0, hits.argmax(axis=1) + 1, 1)
    # A case without a target has no hits, so any divisor gives 0.
    relevant = np.maximum(np.diff(targets.starts), 1)
    discounts = 1 / np.log2(np.arange(2, seen.shape[1] + 2))
    precision, recall = number / k, number / relevant
    both = precision + recall
    return {
        "hr": (number > 0).astype(np.float64),
        "mrr": (number > 0) / first,
        "ndcg": (seen @ discounts) / ideal(targets, k),
        "recall": recall,
        "precision": precision,
        "f1": np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0),
    }


def ideal(targets: Targets, k: int) -> Values:
    """Return the gain of the best possible list of k for each case; 1 if no item is relevant."""
    sizes = np.diff(targets.starts)
    best = np.zeros(len(targets))
    cases = targets.cases
    # Sorted by case and falling grade, a target's place within its case is its rank in the best list.
    order = np.lexsort((-targets.grades, cases))
    rank = np.arange(len(order)) - np.repeat(targets.starts[:-1], sizes)
    gain = np.where(rank < k, targets.grades[order] / np.log2(rank + 2), 0.0)
    np.add.at(best, cases, gain)
    return np.where(best > 0, best, 1.0)


def coverage(lists: Lists, items: int, k: int) -> float:
    """Return the share of `items` that are in at least one list (Ge et al. 2010, doi:10.1145/1864708.1864761)."""
    shown = np.unique(lists[:, :k])
    return float((shown != NOTHING).sum() / items) if items else 0.0


def novelty(lists: Lists, counts: npt.NDArray[np.int64], k: int) -> float:
    """Return the mean of −log₂ p over the listed items, p being an item's share of all actions, in bits.

    Each item counts one action more than it has (`counts`, (items,)), so the novelty of an item without any is finite
    (Vargas & Castells 2011, doi:10.1145/2043932.2043955).
    """
    shown = lists[:, :k][lists[:, :k] != NOTHING]
    # `len(counts)` is what the additional action of each item adds to the sum: the shares still add up to 1.
    share = (counts + 1) / (counts.sum() + len(counts))
    return float(-np.log2(share[shown]).mean()) if len(shown) else 0.0
