"""Metrics of several rankings."""

from __future__ import annotations

import numpy as np

from training.evaluation.estimates import Measured

PRIMARY = (("hr", 20), ("mrr", 20))


def test_the_second_metric_decides_between_baselines_that_are_equal_in_the_first() -> None:
    # A catalogue of fewer than 20 items: every list of 20 contains the target.
    means = np.array([[1.0, 0.6], [1.0, 0.9], [0.9, 1.0]])
    measured = Measured(["popularity", "knn", "repeat"], PRIMARY, means, means[None])
    assert measured.best(["popularity", "knn", "repeat"], PRIMARY) == "knn"
    assert measured.best(["popularity", "repeat"], PRIMARY) == "popularity"
    assert measured.best([], PRIMARY) is None
