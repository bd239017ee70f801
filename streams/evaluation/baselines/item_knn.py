"""Items that go together: the cosine of their sessions. Pure.

Item-based top-N recommendation (Deshpande & Karypis 2004, doi:10.1145/963770.963776): with c(i, j) the number of
sessions that hold both and s(i) those that hold i, cos(i, j) = c(i, j) / √(s(i) · s(j)), and a candidate's score is
the sum of its cosines to the items of the session. In session-based work often the newest item alone is asked (Hidasi
et al. 2016, arXiv:1511.06939), so there are both. Kept up to date act by act.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streams.evaluation.baselines.base import Moment, Ranked, best
from streams.evaluation.log import Act

DENSE_ITEMS = 10_000
"""Up to so many items a matrix of all pairs is kept, 400 MB at most; above, dictionaries of the pairs that came up."""
REACH = 30
"""In the dictionaries an item is paired with so many items that came before it in its session: bounds the memory."""
LAST = 20
"""Items of the session that vote: the newest."""


class ItemKnn:
    """Items by the sum of their cosines to those of the session."""

    name = "item-kNN"

    def __init__(self, items: int) -> None:
        self._sessions = np.zeros(items)
        self._matrix = np.zeros((items, items), dtype=np.int32) if items <= DENSE_ITEMS else None
        self._rows: defaultdict[int, dict[int, int]] = defaultdict(dict)

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Count the pairs that an item makes with those before it."""
        if not act.first:
            return
        self._sessions[act.item] += 1.0
        if self._matrix is not None:
            self._matrix[act.item, session] += 1
            self._matrix[session, act.item] += 1
            return
        row = self._rows[act.item]
        for other in session[-REACH:]:
            row[other] = row.get(other, 0) + 1
            self._rows[other][act.item] = row[other]

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the nearest to the session as a whole."""
        return self.nearest(moment.session[-LAST:], moment.hidden, k)

    def nearest(self, items: Sequence[int], hidden: Sequence[int], k: int) -> Ranked:
        """Return the nearest to some items."""
        scores = np.zeros(len(self._sessions))
        for item in items:
            others, counts = self._row(item)
            scores[others] += counts / np.sqrt(max(self._sessions[item], 1.0))
        scores /= np.sqrt(np.maximum(self._sessions, 1.0))
        return best(scores, k, hidden)

    def _row(self, item: int) -> tuple[slice | list[int], npt.NDArray[np.int32]]:
        if self._matrix is not None:
            return slice(None), self._matrix[item]
        row = self._rows.get(item, {})
        return list(row), np.fromiter(row.values(), dtype=np.int32, count=len(row))


class ItemKnnLast:
    """Items by their cosine to the session's newest item alone. Reads the pairs of `knn`, which has to learn too."""

    name = "item-kNN, last item"

    def __init__(self, knn: ItemKnn) -> None:
        self._knn = knn

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Leave it to the other: counted twice, the pairs would take twice the memory."""

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the nearest to the newest item."""
        return self._knn.nearest(moment.session[-1:], moment.hidden, k)
