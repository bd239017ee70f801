"""The ranker's graph equals its formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="needs the extra `train`")

from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.ranking.scorer import Scorer
from tests.training.ranker.flat import flat, like
from training.ranker.network import Calibration, Network, Ranker, feature_names, to_onnx, unfitted

NAMES = ("one", "two", "three")


def ranker(seed: int, units: int) -> Ranker:
    rng = np.random.default_rng(seed)
    network = Network.start(3, units, seed)
    network = like(network, rng.normal(size=flat(network).size))
    calibration = Calibration(float(rng.uniform(0.1, 3)), rng.normal(size=3) * (0, 0, 1), float(rng.normal()))
    return Ranker(NAMES, rng.normal(size=3), rng.uniform(0.1, 3, size=3), network, calibration)


def scorer(of: Ranker) -> Scorer:
    graph = to_onnx(of)
    session = open_session(graph.SerializeToString(), name="test", providers=(CPU,))
    return Scorer(session, feature_names(graph))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), units=st.sampled_from([0, 1, 5]))
def test_the_graph_equals_the_formula(seed: int, units: int) -> None:
    ours = ranker(seed, units)
    x = np.random.default_rng(seed).normal(size=(7, 3)).astype(np.float32)
    z = (x - ours.mean) / ours.std
    network = ours.network
    logit = [
        sum(row * network.direct) + sum(np.maximum(row @ network.hidden + network.bias, 0) * network.output)
        for row in z
    ]
    calibrated = ours.calibration.slope * np.array(logit) + z @ ours.calibration.context + ours.calibration.offset
    expected = 1 / (1 + np.exp(-calibrated))
    np.testing.assert_allclose(ours.score(x), expected, atol=1e-6)
    np.testing.assert_allclose(scorer(ours).score(x), expected, atol=1e-4)


def test_an_unfitted_ranker_scores_all_candidates_equally() -> None:
    scores = scorer(unfitted(NAMES)).score(np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32))
    assert set(scores.tolist()) == {0.5}
