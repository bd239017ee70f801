"""The losses of a fit: values with their gradients, means over lists or examples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from training.ranker.examples import Examples

Floats = npt.NDArray[np.floating]
Loss = Callable[[Floats], tuple[float, Floats]]
"""A function from parameters or logits to the loss and its slope along each of them."""

PENALTY = 1e-6
"""Penalty that keeps the coefficients of a calibration finite if the examples are few."""


def listwise(examples: Examples) -> Loss:
    """Return the mean over lists of −Σ target · log softmax(logits), as a function of the logits (n,).

    The target is each label's share of its list's labels. A candidate of weight w counts w times in the softmax.
    """
    starts = np.flatnonzero(np.diff(examples.groups, prepend=-1))
    sizes = np.diff(np.append(starts, len(examples.groups)))
    place = np.repeat(np.arange(len(starts)), sizes)
    labels = examples.labels.astype(np.float64)
    target = labels / np.add.reduceat(labels, starts)[place]
    log_weights = np.log(np.maximum(examples.weights.astype(np.float64), 1e-9))

    def loss(logits: Floats) -> tuple[float, Floats]:
        # The greatest logit of a list is subtracted, so that no exponential overflows.
        counted = logits + log_weights
        shifted = counted - np.maximum.reduceat(counted, starts)[place]
        grown = np.exp(shifted)
        total = np.add.reduceat(grown, starts)
        value = -float(target @ (shifted - log_weights - np.log(total)[place])) / len(starts)
        return value, (grown / total[place] - target) / len(starts)

    return loss


def logistic(columns: Floats, labels: npt.NDArray[np.bool_], weights: npt.NDArray[np.floating]) -> Loss:
    """Return the weighted mean log-loss of σ(columns · coefficients), as a function of the coefficients."""
    share = weights / weights.sum()

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        logits = columns @ coefficients
        value = float(share @ (np.logaddexp(0.0, logits) - labels * logits))
        slope = columns.T @ (share * (0.5 * (1 + np.tanh(logits / 2)) - labels))
        return value + PENALTY * float(coefficients @ coefficients) / 2, slope + PENALTY * coefficients

    return loss
