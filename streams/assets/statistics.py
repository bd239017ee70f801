"""Statistics of data quality: bounds of shares, distances of distributions and of meanings. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt

import numpy as np

from inference.types import Vector

Z = 5.0
"""Standard normal quantile of all tests of windows: a probability of 2.9e-7 that a window at the limit is beyond it."""
NOISE_OF_MEANING = 10.0
"""The distance of two means of the same texts is below this multiple of its expectation. It is a weighted sum of
squared normal variables, one for each theme of the texts; with 4 equal weights, 9.6 is its quantile at Z."""


def share_at_least(share: float, sample: float, z: float = Z) -> float:
    """Return the lower bound of a share by Wilson's score interval (1927, doi:10.1080/01621459.1927.10502953)."""
    if sample <= 0:
        return 0.0
    squared = z * z / sample
    half = z * sqrt(max(0.0, share * (1 - share)) / sample + squared / sample / 4)
    return max(0.0, (share + squared / 2 - half) / (1 + squared))


def stability_index(observed: Sequence[float], usual: Sequence[float], sample: float) -> float:
    """Return the population stability index of two distributions over the same bins.

    It is the sum of (p - q) * ln(p / q), the symmetric Kullback-Leibler divergence (Lewis 1994, "An introduction to
    credit scoring"; Yurdakul & Naranjo 2020, doi:10.21314/JRMV.2020.227). Half a message is added to each bin, so an
    empty one gives a finite value.

    Args:
        observed: shares of the bins, with the sum 1.
        usual: the usual shares.
        sample: number of independent observations of `observed`.
    """
    bins = len(usual)
    index = 0.0
    for p, q in zip(observed, usual, strict=True):
        smooth_p = (p * sample + 0.5) / (sample + 0.5 * bins)
        smooth_q = (q * sample + 0.5) / (sample + 0.5 * bins)
        index += (smooth_p - smooth_q) * log(smooth_p / smooth_q)
    return index


def index_noise(bins: int, sample: float, usual_sample: float, z: float = Z) -> float:
    """Return what chance alone makes of the index of two samples of one distribution: its quantile at `z`.

    A `usual_sample` of 0 stands for a distribution that was set, and is exact.

    index / (1 / sample + 1 / usual_sample) has a chi-squared distribution with bins - 1 degrees of freedom (Yurdakul &
    Naranjo 2020); its quantile is that of Wilson & Hilferty (1931, doi:10.1073/pnas.17.12.684).
    """
    freedom = max(1, bins - 1)
    part = 2 / (9 * freedom)
    quantile = freedom * (1 - part + z * sqrt(part)) ** 3
    return quantile * (1 / max(1.0, sample) + _variance(usual_sample))


def distance(one: Vector, other: Vector) -> float:
    """Return the cosine distance of two vectors, 0 for equal directions and 1 for orthogonal ones."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return 0.0 if lengths == 0 else 1.0 - float(np.dot(one, other)) / lengths


def distance_noise(total: Vector, count: int, sample: float, usual_sample: float) -> float:
    """Return what chance alone makes of the distance of two means of texts of one distribution.

    The mean of n unit vectors of mean m has a squared error of (1 - |m|^2) / n, and its cosine distance to m is about
    half the squared error relative to |m|^2.

    Args:
        total: sum of the usual unit vectors, shape (dim,).
        count: number of the usual vectors.
        sample: number of independent texts of the observed mean.
        usual_sample: that of the usual mean.
    """
    squared = float(np.dot(total, total)) / max(1, count) ** 2
    spread = max(0.0, 1 - squared) / max(squared, 1e-6)
    return NOISE_OF_MEANING * spread / 2 * (1 / max(1.0, sample) + _variance(usual_sample))


def _variance(usual_sample: float) -> float:
    return 1 / max(1.0, usual_sample) if usual_sample else 0.0
