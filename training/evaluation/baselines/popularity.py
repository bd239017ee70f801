"""Popular items, of all time and recent, and the shopper's own most frequent items. No I/O.

The shopper's own items are a strong baseline if people buy the same items again: P-TopFreq and GP-TopFreq (Hu et al.
2020, doi:10.1145/3397271.3401066; Li et al. 2023, doi:10.1145/3587153).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from training.evaluation.baselines.base import Moment, Ranked, best
from training.log import Act

DAY_MS = 86_400_000.0
LARGEST_EXPONENT = 500.0


class Popularity:
    """A ranking of items by the number of actions on them."""

    name = "popularity"

    def __init__(self, items: int) -> None:
        self._counts = np.zeros(items)

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the interface's signature
        """Count the action."""
        self._counts[act.item] += 1.0

    def count(self, item: int) -> float:
        """Return the number of actions on an item."""
        return float(self._counts[item])

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items with most actions."""
        return best(self._counts, k, moment.hidden)


class RecentPopularity:
    """A ranking of items by the decayed number of actions on them.

    Each action loses half of its weight in `half_life_days`. Counts grow relative to a fixed landmark, so the passage
    of time updates nothing (forward decay: Cormode et al. 2009, doi:10.1109/ICDE.2009.65).
    """

    name = "recent popularity"

    def __init__(self, items: int, half_life_days: float = 7.0) -> None:
        self._half_life_ms = half_life_days * DAY_MS
        self._landmark_ms: int | None = None
        self._weight = np.zeros(items)

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the interface's signature
        """Add the action with the weight of its time."""
        if self._landmark_ms is None:
            self._landmark_ms = act.at_ms
        exponent = (act.at_ms - self._landmark_ms) / self._half_life_ms
        # Weights grow by 2 in each half-life. Before they exceed a float64 (2^1023), all are divided and the landmark
        # moves, which changes no ratio between items.
        if exponent > LARGEST_EXPONENT:
            self._weight *= 2.0**-exponent
            self._landmark_ms, exponent = act.at_ms, 0.0
        self._weight[act.item] += 2.0**exponent

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items with the highest decayed count."""
        return best(self._weight, k, moment.hidden)


class Repeat:
    """The shopper's own items by the number of sessions that contain them, ties by recency.

    With `only_bought`, only purchases count, not views, clicks or cart events.
    """

    name = "repeat"

    def __init__(self, *, only_bought: bool) -> None:
        self._only_bought = only_bought
        self._had: defaultdict[int, dict[int, tuple[int, int, int]]] = defaultdict(dict)

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the interface's signature
        """Count the session once for the item."""
        if self._only_bought and not act.bought:
            return
        # `last` is the session that counted last, so a session counts once. If two sessions of a shopper alternate,
        # each change counts: rare, and a set of sessions for each item would cost more.
        count, _, last = self._had[act.user].get(act.item, (0, 0, -1))
        self._had[act.user][act.item] = (count + (last != act.session), act.at_ms, act.session)

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the shopper's most frequent items."""
        had, hidden = self._had.get(moment.user, {}), set(moment.hidden)
        ranked = sorted((item for item in had if item not in hidden), key=lambda item: (*_before(had[item]), item))
        return np.array(ranked[:k], dtype=np.int64)


class RepeatThenPopular:
    """The same, filled up with popular items if the shopper has fewer than k items."""

    name = "repeat, then popular"

    def __init__(self, items: int, *, only_bought: bool) -> None:
        self._repeat = Repeat(only_bought=only_bought)
        self._popular = Popularity(items)

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Update both counts."""
        self._repeat.learn(act, session)
        self._popular.learn(act, session)

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the shopper's own items, then popular items."""
        own = self._repeat.rank(moment, k)
        if len(own) == k:
            return own
        others = self._popular.rank(moment._replace(hidden=[*moment.hidden, *own.tolist()]), k - len(own))
        return np.concatenate([own, others])


def _before(had: tuple[int, int, int]) -> tuple[int, int]:
    count, at_ms, _ = had
    return -count, -at_ms
