"""Propensities: recovered from clicks of a position-based model whose relevance depends on the score."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs the extra `train`")

from training.learning.outcomes import BINS, RANKS, Exposures, no_exposures
from training.learning.propensities import Floats, inverse, propensities, without_rises


def simulated(theta: Floats, lists: int, seed: int = 0) -> Exposures:
    """Return exposures of lists whose items are sorted by score, as rankers do."""
    draw = np.random.default_rng(seed)
    exposures = no_exposures()
    gamma = 1 / (1 + np.exp(-(np.arange(BINS) - 20) / 2))
    # Lists differ in how good their items are: so each rank has many scores.
    best = draw.integers(6, BINS, lists)
    places = np.maximum(best[:, None] - draw.integers(0, 2, (lists, RANKS)).cumsum(axis=1), 0)
    acted = draw.random((lists, RANKS)) < theta[None, :] * gamma[places]
    ranks = np.broadcast_to(np.arange(RANKS), places.shape)
    np.add.at(exposures[0], (ranks, places), 1)
    np.add.at(exposures[1], (ranks[acted], places[acted]), 1)
    return exposures


def test_the_decay_of_examination_is_recovered() -> None:
    theta = np.exp(-0.6 * np.log(np.arange(1.0, RANKS + 1)))
    found = propensities(simulated(theta, 40_000))
    assert found[0] == 1
    np.testing.assert_allclose(found[:10], theta[:10], atol=0.12)


def test_without_position_bias_the_propensities_stay_near_one() -> None:
    assert propensities(simulated(np.full(RANKS, 0.5), 40_000)).min() > 0.75


def test_few_actions_give_no_propensities() -> None:
    np.testing.assert_array_equal(propensities(no_exposures()), np.ones(RANKS))


def test_propensities_never_rise() -> None:
    found = without_rises(np.array([1.0, 0.5, 0.7, 0.2, 0.3]), np.ones(5))
    np.testing.assert_allclose(found, [1, 0.6, 0.6, 0.25, 0.25])


def test_weights_are_clipped_and_one_without_a_list() -> None:
    theta = np.array([1.0, 0.5, 0.01])
    weights = inverse(theta, np.array([0, 1, 2, 3, 9]), 0.1)
    assert weights.tolist() == pytest.approx([1, 1, 2, 10, 10])
