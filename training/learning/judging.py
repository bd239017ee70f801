"""Judges rankers on held-out lists, and finds drift. No I/O.

The measure is NDCG@20 of each list. Lists are weighted by their inverse propensity (self-normalised: Swaminathan &
Joachims 2015). Confidence is that of the bootstrap over shoppers: the lists of one shopper depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.pipeline import ScoresFeatures
from training.bootstrap import resampled_means
from training.learning.propensities import inverse
from training.learning.store import Lists
from training.ranker.acceptance import LEAST_LISTS
from training.ranker.examples import Examples
from training.ranker.quality import K, per_list

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two weighted means of NDCG, and bounds of their difference, each at the one-sided confidence.

    Attributes:
        lists: number of lists with a relevant item.
        before, after: the means.
        low, high: bounds of after − before.
    """

    lists: int
    before: float
    after: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """The difference of the means."""
        return self.after - self.before

    def __str__(self) -> str:
        return (
            f"NDCG@{K} {self.after:.4f} against {self.before:.4f} over {self.lists} lists, difference "
            f"{self.gain:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"
        )


def ndcg_of_lists(ranker: ScoresFeatures, examples: Examples) -> Floats:
    """Return NDCG@20 of each list, (lists,); NaN for lists without a relevant item. Raises ScoringError."""
    scores = ranker.score(np.asarray(examples.features, dtype=np.float32))
    return np.where(examples.relevant > 0, per_list(scores, *examples.truth, k=K).ndcg, np.nan)


def list_weights(lists: Lists, theta: Floats, clip: float) -> Floats:
    """Return the weight of each list, (lists,): the mean inverse propensity of its labels; 1 for lists without any."""
    examples = lists.examples
    labels, number = examples.labels.astype(np.float64), len(lists)
    weighted = labels * inverse(theta, lists.ranks, clip)
    sums = np.bincount(examples.groups, weights=labels, minlength=number)
    found = np.bincount(examples.groups, weights=weighted, minlength=number)
    return np.divide(found, sums, out=np.ones(number), where=sums > 0)


def compare(before: ScoresFeatures, after: ScoresFeatures, lists: Lists, weights: Floats,
            *, confidence: float, seed: int) -> Comparison:  # fmt: skip
    """Compare two rankers on the same lists. Raises ScoringError."""
    values = np.stack([ndcg_of_lists(each, lists.examples) for each in (before, after)], axis=1)
    judged = ~np.isnan(values[:, 0])
    if not judged.any():
        return Comparison(0, 0.0, 0.0, 0.0, 0.0)
    own = weights[judged]
    # Weighted sums and sums of weights are resampled together, because a mean is the quotient of both in the same
    # resample.
    columns = np.column_stack([values[judged] * own[:, None], own, own])
    return _compared(columns, lists.shoppers[judged], confidence, seed)


def drift(ranker: ScoresFeatures, reference: Lists, recent: Lists, *, confidence: float, seed: int) -> Comparison:
    """Compare a ranker's NDCG in two periods: `before` is that in the reference period. Raises ScoringError.

    The comparison is over 0 lists if a period has fewer than LEAST_LISTS lists with a relevant item.
    """
    values, is_recent, shoppers = [], [], []
    for number, lists in enumerate((reference, recent)):
        found = ndcg_of_lists(ranker, lists.examples)
        judged = ~np.isnan(found)
        values.append(found[judged])
        shoppers.append(lists.shoppers[judged])
        is_recent.append(np.full(judged.sum(), number, dtype=np.float64))
    value, late, shopper = np.concatenate(values), np.concatenate(is_recent), np.concatenate(shoppers)
    if min(late.sum(), len(late) - late.sum()) < LEAST_LISTS:
        return Comparison(0, 0.0, 0.0, 0.0, 0.0)
    # As in `compare`: sums and numbers of lists of each period. A shopper may have lists in both, so one resample draws
    # both.
    columns = np.column_stack([value * (1 - late), value * late, 1 - late, late])
    return _compared(columns, shopper, confidence, seed)


def _compared(columns: Floats, shoppers: npt.NDArray[np.uint64], confidence: float, seed: int) -> Comparison:
    """Compare two quotients of means: columns 0 and 1 are the numerators, 2 and 3 the denominators."""
    draws = resampled_means(columns, shoppers.astype(np.int64), seed)
    # A resample may have no list of one of the periods.
    parts = draws[:, :2] / np.maximum(draws[:, 2:], 1e-12)
    low, high = np.quantile(parts[:, 1] - parts[:, 0], [1 - confidence, confidence])
    before, after = columns[:, :2].mean(axis=0) / columns[:, 2:].mean(axis=0)
    return Comparison(len(columns), float(before), float(after), float(low), float(high))
