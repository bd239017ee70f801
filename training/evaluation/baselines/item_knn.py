"""Item-kNN: items by the cosine of their sessions. No I/O.

Item-based top-N recommendation (Deshpande & Karypis 2004, doi:10.1145/963770.963776). With c(i, j) the number of
sessions that contain both items and s(i) the number of those that contain i, cos(i, j) = c(i, j) / √(s(i) · s(j)). A
candidate's score is the sum of its cosines to the items of the session. Session-based studies often use the newest item
alone (Hidasi et al. 2016, arXiv:1511.06939), so both exist. The counts are updated with each act.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from training.evaluation.baselines.base import Moment, Ranked, best
from training.evaluation.baselines.kernels import add_cosines, count_pairs
from training.log import Act

DENSE_ITEMS = 10_000
"""Up to this number of items, a matrix of all pairs is kept, at most 400 MB. Above it, dictionaries of observed pairs
are kept."""
REACH = 30
"""In the dictionaries, an item is paired with at most this number of earlier items of its session. It bounds memory."""
LAST = 20
"""The newest items of the session that vote."""


class ItemKnn:
    """A ranking of items by the sum of their cosines to the items of the session."""

    name = "item-kNN"

    def __init__(self, items: int) -> None:
        self._sessions = np.zeros(items)
        self._matrix = np.zeros((items, items), dtype=np.int32) if items <= DENSE_ITEMS else None
        self._scores = np.empty(items)
        self._rows: defaultdict[int, dict[int, int]] = defaultdict(dict)

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Count the pairs of an item with the earlier items of its session."""
        if not act.first:
            return
        self._sessions[act.item] += 1.0
        if self._matrix is not None:
            count_pairs(self._matrix, act.item, np.array(session, dtype=np.int64))
            return
        row = self._rows[act.item]
        for other in session[-REACH:]:
            row[other] = row.get(other, 0) + 1
            self._rows[other][act.item] = row[other]

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items nearest to the whole session."""
        return self.nearest(moment.session[-LAST:], moment.hidden, k)

    def nearest(self, items: Sequence[int], hidden: Sequence[int], k: int) -> Ranked:
        """Return the items nearest to some items."""
        if self._matrix is not None:
            add_cosines(self._matrix, self._sessions, np.array(items, dtype=np.int64), self._scores)
            return best(self._scores, k, hidden)
        scores = np.zeros(len(self._sessions))
        for item in items:
            row = self._rows.get(item, {})
            counts = np.fromiter(row.values(), dtype=np.int32, count=len(row))
            # The items of a row are distinct, so `+=` by index adds each of them.
            scores[list(row)] += counts / np.sqrt(max(self._sessions[item], 1.0))
        scores /= np.sqrt(np.maximum(self._sessions, 1.0))
        return best(scores, k, hidden)


class ItemKnnLast:
    """A ranking of items by their cosine to the session's newest item.

    It reads the counts of `knn`, which must learn as well.
    """

    name = "item-kNN, last item"

    def __init__(self, knn: ItemKnn) -> None:
        self._knn = knn

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Learn nothing: `knn` counts the pairs. A second count would need twice the memory."""

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items nearest to the newest item."""
        return self._knn.nearest(moment.session[-1:], moment.hidden, k)
