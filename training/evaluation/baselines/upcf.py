"""UP-CF@r: recent purchases of similar shoppers, the shopper's own included. No I/O.

Faggioli, Polato & Aiolli 2020 (Recency Aware Collaborative Filtering for Next Basket Recommendation,
doi:10.1145/3340631.3394850). With c(u, i), the number of u's baskets that contain i,

    sim(u, v) = Σ_i c(u, i) c(v, i) / (Σ_i c(u, i)²)^asymmetry / (Σ_i c(v, i)²)^(1 − asymmetry),    sim(u, u) = 1
    score(i) = Σ_v sim(u, v)^locality · share of v's last r baskets that contain i

over u and the most similar shoppers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from training.evaluation.baselines.base import Moment, Ranked, best
from training.evaluation.baselines.baskets import Baskets, Sparse, Vectors, add_up
from training.log import Act


class UpCfSettings(NamedTuple):
    """The numbers of the method.

    Attributes:
        recent: baskets of a shopper that vote, r in the paper.
        asymmetry: α in the paper.
        locality: exponent of the similarity, q in the paper.
        neighbours: similar shoppers that vote.
    """

    recent: int = 25
    asymmetry: float = 0.5
    locality: float = 5.0
    neighbours: int = 100


DEFAULT = UpCfSettings()


class UpCf:
    """A ranking of items by the recent purchases of the shopper and of similar ones.

    Args:
        items: number of items.
        settings: the numbers of the method.
        only_bought: whether only purchases count.
    """

    name = "UP-CF@r"

    def __init__(self, items: int, settings: UpCfSettings = DEFAULT, *, only_bought: bool) -> None:
        self._items, self._settings = items, settings
        self._baskets = Baskets(only_bought=only_bought)
        self._counts = Vectors()
        self._popular: dict[int, Sparse] = {}

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the interface's signature
        """Add the item to its basket."""
        self._baskets.add(act)

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items by the votes of similar shoppers."""
        settings = self._settings
        for user in self._baskets.take_changed():
            baskets = self._baskets.of(user)
            recent = baskets[-settings.recent :]
            number = self._counts.put(user, Counter(chain.from_iterable(baskets)))
            bought = Counter(chain.from_iterable(recent))
            self._popular[number] = Sparse.of({item: count / len(recent) for item, count in bought.items()})
        own = self._counts.number(moment.user)
        if own is None:
            return np.empty(0, dtype=np.int64)
        squares = self._counts.squares()
        similarity = self._counts.dots(self._counts.of(own))
        similarity /= squares[own] ** settings.asymmetry * squares ** (1 - settings.asymmetry)
        # The shopper is always a neighbour, whatever the similarity of others: infinite for the sort, and 1 for the
        # vote.
        similarity[own] = np.inf
        near = np.argsort(-similarity, kind="stable")[: settings.neighbours + 1]
        similarity[own] = 1.0
        scores = add_up(
            [self._popular[each] for each in near.tolist()], similarity[near] ** settings.locality, self._items
        )
        return best(scores, k, moment.hidden)
