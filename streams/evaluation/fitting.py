"""A ranker of the shop's own, fitted to what the learning part teaches, in the place of the bundle's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.learning.fit import MOST_STEPS, fit
from inference.learning.network import Ranker
from inference.types import Vector
from streams.evaluation.plan import Fit, Tell
from streams.examples import List, as_examples


@dataclass(frozen=True, slots=True)
class Fitted:
    """Scores as the graph would that `train-ranker` writes of it."""

    ranker: Ranker

    def score(self, features: Vector) -> Vector:
        """Return probabilities (n,), float32, of features (n, F)."""
        return self.ranker.probabilities(features).astype(np.float32)


def fitter(seed: int, tell: Tell) -> Fit:
    """Return what fits a ranker as `train-ranker` does, with its default penalty."""

    def fitted(lists: Sequence[List]) -> Fitted:
        step = tell("Fitting a ranker", MOST_STEPS)
        return Fitted(fit(as_examples(lists), seed=seed, progress=lambda _: step(1)))

    return fitted
