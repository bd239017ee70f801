"""A ranker fitted to the shop's log before the test period. It replaces the bundle's ranker."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluation.plan import Fit, Tell
from training.ranker.fit import MOST_STEPS, fit
from training.ranker.gather import List, as_examples
from training.ranker.network import Ranker


def fitter(seed: int, tell: Tell) -> Fit:
    """Return a function that fits a ranker as `train-ranker` does, with its default penalty."""

    def fitted(lists: Sequence[List]) -> Ranker:
        step = tell("Fitting a ranker", MOST_STEPS)
        return fit(as_examples(lists), seed=seed, progress=lambda: step(1))

    return fitted
