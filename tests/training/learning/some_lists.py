"""Gathered lists whose relevant candidate has the largest value of one feature."""

from __future__ import annotations

import numpy as np

from inference.ranking.features import FEATURES
from inference.types import Vector
from training.learning.gathering import Gathered
from training.learning.store import Lists, as_lists
from training.ranker.gather import ExampleList

CANDIDATES = 12


class ByFeature:
    """A ranker that orders by one feature."""

    def __init__(self, name: str, sign: float = 1.0) -> None:
        self._column, self._sign = FEATURES.index(name), sign

    def score(self, features: Vector) -> Vector:
        return np.asarray(0.5 + 0.4 * self._sign * features[:, self._column], dtype=np.float32)


def gathered(
    feature: str,
    lists: int,
    *,
    start_ms: int = 0,
    seed: int = 0,
    rank: int = 0,
    noise: float = 0,
) -> list[Gathered]:
    """Return lists of 40 shoppers, one a minute. Every seventh has no action. `rank` is that of the item acted on.

    `noise` is the standard deviation of what shoppers look at beside the feature.
    """
    draw = np.random.default_rng(seed)
    column = FEATURES.index(feature)
    found = []
    for number in range(lists):
        features = draw.uniform(0, 1, (CANDIDATES, len(FEATURES))).astype(np.float32)
        features[:, FEATURES.index("searching")] = 0
        labels, ranks = np.zeros(CANDIDATES, dtype=np.float32), np.zeros(CANDIDATES, dtype=np.int16)
        acts = number % 7 > 0
        if acts:
            best = int((features[:, column] + noise * draw.normal(size=CANDIDATES)).argmax())
            labels[best], ranks[best] = 1, rank
        examples = ExampleList(features, labels, np.ones(CANDIDATES, dtype=np.float32), int(acts))
        found.append(Gathered(examples, ranks, number % 40, start_ms + number * 60_000))
    return found


def some_lists(feature: str, lists: int, **options: int) -> Lists:
    return as_lists(gathered(feature, lists, **options))
