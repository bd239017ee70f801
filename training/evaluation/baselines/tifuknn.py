"""TIFU-kNN: the shopper's purchases, recent ones above all, blended with those of similar shoppers. No I/O.

Hu et al. 2020 (Modeling Personalized Item Frequency Information for Next-basket Recommendation,
doi:10.1145/3397271.3401066). A shopper's baskets are split into m groups of equal size, in order. If the number is no
multiple of m, the newest groups have one basket more; of fewer than m baskets each is a group. With b_1 … b_s, the
baskets of a group as binary vectors, and g_1 … g_m, the vectors of the groups,

    g = Σ_j within^(s − j) b_j / s,    u = Σ_l between^(m − l) g_l / m

The k shoppers v nearest to u by Euclidean distance are its neighbours. The score of all items is
share · u + (1 − share) · mean(v).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.evaluation.baselines.base import Moment, Ranked, best
from training.evaluation.baselines.baskets import Basket, Baskets, Vectors, add_up
from training.log import Act


class TifuSettings(NamedTuple):
    """The numbers of the method.

    Attributes:
        groups: groups of baskets, m in the paper.
        within: decay from a basket to the one before it in a group, r_b.
        between: decay from a group to the one before it, r_g.
        neighbours: shoppers that vote, k.
        share: weight of the own vector, α.
    """

    groups: int = 12
    within: float = 0.9
    between: float = 0.8
    neighbours: int = 300
    share: float = 0.7


DEFAULT = TifuSettings()


class TifuKnn:
    """A ranking of items by the shopper's own vector and those of the nearest shoppers.

    Args:
        items: number of items.
        settings: the numbers of the method.
        only_bought: whether only purchases count.
    """

    name = "TIFU-kNN"

    def __init__(self, items: int, settings: TifuSettings = DEFAULT, *, only_bought: bool) -> None:
        self._items, self._settings = items, settings
        self._baskets = Baskets(only_bought=only_bought)
        self._vectors = Vectors()

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the interface's signature
        """Add the item to its basket."""
        self._baskets.add(act)

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items by the blended vector."""
        settings = self._settings
        for user in self._baskets.take_changed():
            self._vectors.put(user, self._vector(self._baskets.of(user)))
        number = self._vectors.number(moment.user)
        if number is None:
            return np.empty(0, dtype=np.int64)
        own = self._vectors.of(number)
        # ‖u − v‖² = ‖u‖² − 2 u·v + ‖v‖². The first term is the same for all v, so the order does not need it.
        distance = self._vectors.squares() - 2 * self._vectors.dots(own)
        distance[number] = np.inf
        near = np.argsort(distance, kind="stable")[: min(settings.neighbours, len(distance) - 1)]
        weights = np.full(len(near) + 1, (1 - settings.share) / max(len(near), 1))
        weights[0] = settings.share
        scores = add_up([own, *map(self._vectors.of, near.tolist())], weights, self._items)
        return best(scores, k, moment.hidden)

    def _vector(self, baskets: Sequence[Basket]) -> dict[int, float]:
        settings = self._settings
        groups = min(settings.groups, len(baskets))
        size, longer = divmod(len(baskets), groups)
        vector: defaultdict[int, float] = defaultdict(float)
        end = len(baskets)
        for age in range(groups):
            # From the newest group to the oldest. The first `longer` groups counted from the newest have one basket
            # more.
            start = end - size - (age < longer)
            weight = settings.between**age / groups / (end - start)
            for basket in reversed(baskets[start:end]):
                for item in basket:
                    vector[item] += weight
                weight *= settings.within
            end = start
        return vector
