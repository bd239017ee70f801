"""Statistics of data quality against their definitions and simulations."""

from __future__ import annotations

import numpy as np
import pytest

from inference.types import Vector
from streams.assets.statistics import (
    distance,
    distance_noise,
    index_noise,
    share_at_least,
    stability_index,
)


def test_the_lower_bound_of_a_share_is_wilsons() -> None:
    # Brown, Cai & DasGupta 2001: 95% interval of 10 in 20 is 0.299 to 0.701.
    assert share_at_least(0.5, 20, 1.96) == pytest.approx(0.299, abs=1e-3)
    assert share_at_least(0.0, 20, 1.96) == 0
    assert share_at_least(1.0, 20, 1.96) == pytest.approx(0.839, abs=1e-3)
    assert share_at_least(0.5, 0) == 0


def test_few_shoppers_prove_little() -> None:
    assert share_at_least(1.0, 5) < 0.2 < share_at_least(1.0, 10)


def test_the_stability_index_is_the_symmetric_divergence() -> None:
    p, q = [0.2, 0.3, 0.5], [0.3, 0.3, 0.4]
    exact = sum((a - b) * np.log(a / b) for a, b in zip(p, q, strict=True))
    assert stability_index(p, q, 1e9) == pytest.approx(exact, rel=1e-6)
    assert stability_index(q, p, 1e9) == pytest.approx(exact, rel=1e-6)
    assert stability_index(p, p, 50) == 0
    assert np.isfinite(stability_index([1.0, 0.0, 0.0], q, 50))


@pytest.mark.parametrize("bins", [3, 10])
def test_chance_stays_below_the_noise_of_the_index(bins: int) -> None:
    rng, usual = np.random.default_rng(0), np.full(bins, 1 / bins)
    sample, reference = 100, 5000
    indices = [
        stability_index(
            list(rng.multinomial(sample, usual) / sample), list(rng.multinomial(reference, usual) / reference), sample
        )
        for _ in range(4000)
    ]
    for z, share in ((1.645, 0.05), (2.326, 0.01)):
        beyond = np.mean(np.array(indices) > index_noise(bins, sample, reference, z))
        assert share / 3 < beyond < 2 * share
    assert max(indices) < index_noise(bins, sample, reference)


def test_chance_stays_below_the_noise_of_meanings() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 32))

    def texts(number: int) -> Vector:
        vectors = centres[rng.choice(5, number, p=[0.4, 0.3, 0.15, 0.1, 0.05])] + rng.normal(size=(number, 32)) * 0.5
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1)[:, None], dtype=np.float32)

    usual = texts(2000).sum(axis=0)
    for sample in (30, 300):
        distances = [distance(texts(sample).sum(axis=0), usual) for _ in range(300)]
        noise = distance_noise(usual, 2000, sample, 2000)
        assert max(distances) < noise
        assert np.mean(distances) > noise / 15


def test_equal_directions_have_no_distance() -> None:
    one = np.array([1.0, 2.0], dtype=np.float32)
    assert distance(one, 3 * one) == pytest.approx(0, abs=1e-6)
    assert distance(one, np.array([-2.0, 1.0], dtype=np.float32)) == pytest.approx(1)
    assert distance(one, np.zeros(2, dtype=np.float32)) == 0
