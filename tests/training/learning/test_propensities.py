"""Propensities: recovered from clicks of a position-based model whose relevance depends on the score."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs the extra `train`")

from training.learning.outcomes import BINS, RANKS, Exposure, no_exposure
from training.learning.propensities import Floats, inverse, propensities, without_rises


def simulated(theta: Floats, lists: int, seed: int = 0, shift: int = 0) -> Exposure:
    """Return the exposure of lists whose items are sorted by score, as rankers do.

    The ranker's scores are too high by `shift` bins.
    """
    draw = np.random.default_rng(seed)
    exposure = no_exposure()
    gamma = 1 / (1 + np.exp(-(np.arange(BINS) - 20) / 2))
    # Lists differ in how good their items are: so each rank has many scores.
    best = draw.integers(6, BINS, lists)
    places = np.maximum(best[:, None] - draw.integers(0, 2, (lists, RANKS)).cumsum(axis=1), 0)
    acted = draw.random((lists, RANKS)) < theta[None, :] * gamma[places]
    ranks = np.broadcast_to(np.arange(RANKS), places.shape)
    scored = np.minimum(places + shift, BINS - 1)
    np.add.at(exposure[0], (ranks, scored), 1)
    np.add.at(exposure[1], (ranks[acted], scored[acted]), 1)
    return exposure


def test_the_decay_of_examination_is_recovered() -> None:
    theta = np.exp(-0.6 * np.log(np.arange(1.0, RANKS + 1)))
    found = propensities({"1/0": simulated(theta, 40_000)})
    assert found[0] == 1
    np.testing.assert_allclose(found[:10], theta[:10], atol=0.12)


def test_without_position_bias_the_propensities_stay_near_one() -> None:
    assert propensities({"1/0": simulated(np.full(RANKS, 0.5), 40_000)}).min() > 0.75


def test_versions_have_scores_of_their_own() -> None:
    theta = np.exp(-0.6 * np.log(np.arange(1.0, RANKS + 1)))
    one, other = simulated(theta, 20_000), simulated(theta, 20_000, seed=1, shift=8)
    apart, together = propensities({"1/0": one, "2/0": other}), propensities({"1/0": one + other})
    errors = [np.abs(found - theta)[:10].max() for found in (apart, together)]
    assert errors[0] < 0.12 < errors[1]


def test_few_actions_give_no_propensities() -> None:
    np.testing.assert_array_equal(propensities({}), np.ones(RANKS))
    np.testing.assert_array_equal(propensities({"1/0": no_exposure()}), np.ones(RANKS))


def test_propensities_never_rise() -> None:
    found = without_rises(np.array([1.0, 0.5, 0.7, 0.2, 0.3]), np.ones(5))
    np.testing.assert_allclose(found, [1, 0.6, 0.6, 0.25, 0.25])


def test_weights_are_clipped_and_one_without_a_list() -> None:
    theta = np.array([1.0, 0.5, 0.01])
    weights = inverse(theta, np.array([0, 1, 2, 3, 9]), 0.1)
    assert weights.tolist() == pytest.approx([1, 1, 2, 10, 10])
