"""Position bias: the probability that a shopper examines a place of a list, estimated from what they acted on. No I/O.

The model is position-based: P(action | rank, item) = θ_rank · γ_item (Joachims et al. 2017,
doi:10.1145/3018661.3018699). Both are estimated by regression-EM (Wang et al. 2018, doi:10.1145/3159652.3159732). The
regression is on the ranker's score alone, as a step function: one γ for each bin, model version and day. The places for
new items are always the last ones of a list, so they are not random in rank and do not identify θ.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from training.learning.outcomes import RANKS, Exposures, no_exposure

STEPS = 200
LEAST_ACTIONS = 50
"""Fewest actions on listed items for an estimate. With fewer, all places count alike."""
_PRIOR = 2.0
"""Weight of the pseudo-observations of a cell that keep estimates of rare cells near the mean."""

Floats = npt.NDArray[np.float64]


def propensities(exposures: Exposures) -> Floats:
    """Return θ by rank, (RANKS,), relative to the first rank and not rising; all 1 if there are too few actions.

    θ and γ are determined only up to a factor, and a factor common to all ranks does not change any fit.
    """
    # Columns are bins, those of one version and day after the other.
    shown, acted = np.concatenate([no_exposure(), *exposures.values()], axis=2)
    known = shown.any(axis=0)
    shown, acted = shown[:, known], acted[:, known]
    if acted.sum() < LEAST_ACTIONS:
        return np.ones(RANKS)
    rate = acted.sum() / shown.sum()
    # A start at which θ · γ is the observed rate.
    theta = np.full(RANKS, 0.5)
    gamma = np.full(shown.shape[1], min(2 * rate, 0.5))
    without, weights = shown - acted, shown.sum(axis=1) + _PRIOR
    for _ in range(STEPS):
        product = theta[:, None] * gamma[None, :]
        # The shares of those not acted on that were examined, and that were relevant: the posterior of each cell.
        examined = theta[:, None] * (1 - gamma[None, :]) / (1 - product)
        relevant = (1 - theta[:, None]) * gamma[None, :] / (1 - product)
        # Low ranks have scores that are found at no other rank. Only the constraint keeps them below the others.
        theta = without_rises(((acted + without * examined).sum(axis=1) + _PRIOR * 0.5) / weights, weights)
        gamma = ((acted + without * relevant).sum(axis=0) + _PRIOR * rate) / (shown.sum(axis=0) + _PRIOR)
        theta, gamma = np.clip(theta, 1e-3, 1 - 1e-6), np.clip(gamma, 1e-6, 1 - 1e-6)
    return np.asarray(theta / theta[0])


def without_rises(values: Floats, weights: Floats) -> Floats:
    """Return the nearest values that never rise (isotonic regression)."""
    return np.asarray(isotonic_regression(values, weights=weights, increasing=False).x)


def inverse(theta: Floats, ranks: npt.NDArray[np.integer], clip: float) -> Floats:
    """Return the weight of each action by the rank of its item, (n,): 1 / max(θ, clip), and 1 without a list (rank 0).

    Ranks beyond the last estimated one have its θ.
    """
    known = np.concatenate([[1.0], theta])
    return np.asarray(1 / np.maximum(known[np.minimum(ranks, len(theta))], clip))
