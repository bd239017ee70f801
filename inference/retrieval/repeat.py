"""What the shopper buys again: by how much of it was bought, and by its own rhythm.

With w, the purchases of an item decayed to now, t, the days since the last one, and d, the usual days between two,

    score = w / (w + 10) · rhythm(t / d),    rhythm(r) = 0.7 + 0.3 exp(−ln² r / (2 · 0.7²))

and a rhythm of 0.45 for what was bought once. The rhythm is the hazard of a log-normal renewal, near to a purchase's
usual time and flat far from it (after Anderson, Kumar, Tomkins & Vassilvitskii 2014, doi:10.1145/2566486.2568018, and
Bhagat, Muralidharan, Lobzhanidze & Vishwanath 2018, doi:10.1145/3219819.3219891); its constants are what a year of
grocery purchases showed, see docs/recommendations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.retrieval.found import Offers
from inference.retrieval.offers import OffersSource
from inference.retrieval.port import REPEAT
from inference.retrieval.tally import Sums, whose
from inference.types import NO_HABITS, Habits, Query

MANY = 10.0
"""Purchases at which the weight counts half."""
FLOOR = 0.7
SPREAD = 0.7
ONCE = 0.45
SHORTEST_DAYS = 0.5
"""Shorter intervals are one shopping trip in several receipts."""
EARLIEST = 0.02


def rhythm(elapsed_days: Sums, interval_days: Sums) -> Sums:
    """Return how far the time has come for each purchase, (n,), in (0, 1]: 1 after the usual interval."""
    ratio = np.maximum(elapsed_days / np.maximum(interval_days, SHORTEST_DAYS), EARLIEST)
    due = FLOOR + (1 - FLOOR) * np.exp(-(np.log(ratio) ** 2) / (2 * SPREAD**2))
    return np.where(interval_days > 0, due, ONCE)


def repeat_scores(habits: Habits) -> Sums:
    """Return the score (n,) of each of a shopper's habits, in [0, 1)."""
    weights = np.maximum(habits.weights.astype(np.float64), 0.0)
    due = rhythm(habits.elapsed_days.astype(np.float64), habits.interval_days.astype(np.float64))
    return weights / (weights + MANY) * due


@dataclass(frozen=True, slots=True)
class RepeatSource(OffersSource):
    """What the shopper is used to buying."""

    name: str = REPEAT

    def offers(self, queries: Sequence[Query]) -> Offers:
        """Score the habits of each query."""
        habits = [NO_HABITS, *(query.habits for query in queries)]
        every = Habits(
            np.concatenate([each.keys for each in habits]),
            np.concatenate([each.weights for each in habits]),
            np.concatenate([each.elapsed_days for each in habits]),
            np.concatenate([each.interval_days for each in habits]),
        )
        numbers = whose([len(query.habits.keys) for query in queries])
        return Offers(numbers, every.keys, repeat_scores(every))
