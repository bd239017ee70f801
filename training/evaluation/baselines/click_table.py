"""Click table: the items acted on after the same search, most often first. No I/O.

For each normalised search, the table counts the items that shoppers acted on before the session's next search. Each
search counts an item once, whatever the actions are. Popular items fill the list up, and are the whole list for a new
search. Clicks as evidence of relevance: Joachims 2002, doi:10.1145/775047.775067; Agichtein, Brill & Dumais 2006,
doi:10.1145/1148170.1148177. The table learns during the test, as `replay` does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from inference.encoding.text import remembered_query
from training.evaluation.baselines.base import Moment, Ranked
from training.evaluation.baselines.popularity import Popularity
from training.log import Act


class ClickTable:
    """A ranking of items by their number of searches with the same text, ties by popularity; then popular items."""

    name = "click table"

    def __init__(self, items: int) -> None:
        self._popular = Popularity(items)
        self._counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._searches: dict[int, _Open] = {}

    def learn_search(self, act: Act, text: str) -> None:
        """Open a search: it is the one that the next items of its session count for."""
        self._searches[act.session] = _Open(remembered_query(text))

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Count the item for the last search of its session, unless that search or the session has it already."""
        self._popular.learn(act, session)
        search = self._searches.get(act.session)
        if search is not None and act.item not in search.items and act.item not in session:
            search.items.add(act.item)
            self._counts[search.text][act.item] += 1

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items acted on after the same search, then popular items."""
        counts: Counter[int] = self._counts.get(remembered_query(moment.text or ""), Counter())
        hidden = set(moment.hidden)
        known = sorted(
            (item for item in counts if item not in hidden),
            key=lambda item: (-counts[item], -self._popular.count(item), item),
        )[:k]
        if len(known) == k:
            return np.array(known, dtype=np.int64)
        others = self._popular.rank(moment._replace(hidden=[*moment.hidden, *known]), k - len(known))
        return np.concatenate([np.array(known, dtype=np.int64), others[: k - len(known)]])


class _Open:
    """The last search of a session, and the items that it has counted."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.items: set[int] = set()
