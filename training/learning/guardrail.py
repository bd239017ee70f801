"""The guardrail: whether the lists' click rate dropped after a change of the model. No I/O.

The test is the mixture sequential probability ratio test (Johari et al. 2022, doi:10.1287/opre.2021.2135): it may be
repeated after any number of lists, and the probability of an alarm without a drop stays below the stated error over all
repetitions. It is a test before against after, not a randomised experiment: a sale or a broken page looks the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log

import numpy as np

from training.learning.outcomes import Counts

MIXTURE_DEVIATION = 0.2
"""Standard deviation of the mixture of alternatives, relative to the former rate: drops of about this size are found
fastest."""
LEAST_SHOPPERS = 30
"""Fewest shoppers with a list, and fewest lists acted on, on each side: below, the rates are not nearly normal."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The share of lists that were acted on, with its variance over shoppers (a ratio of sums over clusters)."""

    lists: int
    acted: int
    shoppers: int
    value: float
    variance: float


def rate(counts: Counts) -> Rate:
    """Return the rate over the lists of all shoppers."""
    table = np.array(list(counts.values()), dtype=np.float64).reshape(-1, 2)
    lists, acted = table.sum(axis=0)
    if not lists:
        return Rate(0, 0, 0, 0.0, inf)
    value = acted / lists
    # The variance of a ratio of sums over shoppers, to the first order (delta method).
    variance = float(((table[:, 1] - value * table[:, 0]) ** 2).sum() / lists**2)
    return Rate(int(lists), int(acted), len(table), float(value), variance)


def evidence(now: Rate, before: Rate, accepted_drop: float) -> float:
    """Return the likelihood ratio for a drop by more than the accepted share; 0 if there is none or too few data.

    A drop is found if it is at least 1 / error.
    """
    fewest = min(now.shoppers, before.shoppers, before.acted)
    least = (1 - accepted_drop) * before.value
    difference = now.value - least
    if fewest < LEAST_SHOPPERS or difference >= 0:
        return 0.0
    # Without a single action the variance over shoppers is 0. That of independent lists at the former rate is a bound.
    variance = max(now.variance, least * (1 - least) / now.lists) + (1 - accepted_drop) ** 2 * before.variance
    # With variance V of the difference d and variance T of the mixture, the ratio is √(V / (V + T)) · exp(T d² / (2 V
    # (V + T))). It is computed as a logarithm, and bounded because exp overflows above 709.
    variance_of_mixture = (MIXTURE_DEVIATION * before.value) ** 2
    log_ratio = 0.5 * log(variance / (variance + variance_of_mixture))
    log_ratio += variance_of_mixture * difference**2 / (2 * variance * (variance + variance_of_mixture))
    return exp(min(log_ratio, 700.0))
