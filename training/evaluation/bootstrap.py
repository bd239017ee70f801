"""Confidence intervals of means by the bootstrap over clusters. No I/O.

Cases of one shopper are not independent of each other, so whole shoppers are drawn, not cases (Field & Welsh 2007,
doi:10.1111/j.1467-9868.2007.00593.x; percentile intervals: Efron & Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DRAWS = 1000
LEVEL = 0.95
_CHUNK = 4_000_000
"""Numbers that are drawn at once. This bounds the memory."""

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """Confidence interval of a mean, at the confidence LEVEL."""

    low: float
    high: float


def resampled_means(values: Floats, clusters: npt.NDArray[np.integer], seed: int, draws: int = DRAWS) -> Floats:
    """Return the means of each column over resampled clusters, (draws, m).

    All columns use the same resamples, so the difference of two columns is their paired difference.

    Args:
        values: (n, m), n at least 1.
        clusters: the cluster of each row, any integers, (n,).
        seed: the seed of the draws.
        draws: the number of draws.
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(cluster).astype(np.float64)
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, cluster, values)
    random = np.random.default_rng(seed)
    means = []
    # A resample is the number of times that each cluster was drawn, so its mean is a quotient of two matrix products.
    step = max(_CHUNK // len(sizes), 1)
    for start in range(0, draws, step):
        weights = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), min(step, draws - start))
        weights = weights.astype(np.float64)
        means.append((weights @ sums) / (weights @ sizes)[:, None])
    return np.concatenate(means)


def interval(means: Floats, level: float = LEVEL) -> Interval:
    """Return the percentile interval of resampled means (draws,)."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
