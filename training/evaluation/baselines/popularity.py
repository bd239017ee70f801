"""The most popular items: of all time, and recently. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.evaluation.baselines.base import Moment, Ranked, best
from training.evaluation.log import Act

DAY_MS = 86_400_000.0
LARGEST_EXPONENT = 500.0


class Popularity:
    """A ranking of items by the number of actions on them."""

    name = "popularity"

    def __init__(self, items: int) -> None:
        self._counts = np.zeros(items)

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the port's signature
        """Count the action."""
        self._counts[act.item] += 1.0

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
        self._mass = np.zeros(items)

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the port's signature
        """Add the action with the weight of its time."""
        if self._landmark_ms is None:
            self._landmark_ms = act.at_ms
        exponent = (act.at_ms - self._landmark_ms) / self._half_life_ms
        if exponent > LARGEST_EXPONENT:
            self._mass *= 2.0**-exponent
            self._landmark_ms, exponent = act.at_ms, 0.0
        self._mass[act.item] += 2.0**exponent

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items with the highest decayed count."""
        return best(self._mass, k, moment.hidden)
