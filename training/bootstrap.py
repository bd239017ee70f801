"""Intervals of means by bootstrap over clusters, for evaluations and for the comparison of rankers. No I/O.

Intervals are percentile intervals of the bootstrap (Efron & Tibshirani 1993, chapter 13). Values of one shopper are not
independent of each other, so it draws whole shoppers (Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x).
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
    # Only the sums and sizes of clusters are needed, so a draw costs as much as there are shoppers, however many cases
    # they have.
    sums, sizes = by_cluster(values, clusters)
    random, number = np.random.default_rng(seed), len(sizes)
    means = []
    # A resample is the number of times that each cluster was drawn, so its mean is a quotient of two matrix products.
    step = max(_CHUNK // number, 1)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        # Draw d counts in its own cells, from d · number on, so one `bincount` counts the draws of a whole chunk.
        drawn = random.integers(0, number, size=(size, number)) + np.arange(size)[:, None] * number
        weights = np.bincount(drawn.ravel(), minlength=size * number).reshape(size, number).astype(np.float64)
        means.append((weights @ sums) / (weights @ sizes)[:, None])
    return np.concatenate(means)


def by_cluster(values: Floats, clusters: npt.NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Return the sums of each cluster's rows, (clusters, m), and the number of its rows, (clusters,)."""
    order = np.argsort(clusters, kind="stable")
    # The first cluster gets a predecessor that differs from it, so that it has a start as well.
    starts = np.flatnonzero(np.diff(clusters[order], prepend=clusters[order[0]] - 1))
    sums: Floats = np.add.reduceat(values[order], starts, axis=0)
    return sums, np.diff(np.append(starts, len(order))).astype(np.float64)


def interval(means: Floats, level: float = LEVEL) -> Interval:
    """Return the percentile interval of resampled means (draws,)."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
