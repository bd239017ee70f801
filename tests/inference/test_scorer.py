"""The scorer: one probability for each row, and a clear error for invalid features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference.bundle import Bundle
from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.errors import BundleError, ScoringError
from tests.conftest import BUNDLE


@given(data=st.data(), n=st.integers(0, 40))
def test_scores_are_probabilities_of_their_own_rows(bundle: Bundle, data: st.DataObject, n: int) -> None:
    width = len(bundle.scorer.features)
    features = data.draw(arrays(np.float32, (n, width), elements=st.floats(-2, 2, width=32)))
    scores = bundle.scorer.score(features)
    assert scores.shape == (n,)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    alone = [bundle.scorer.score(features[i : i + 1])[0] for i in range(n)]
    np.testing.assert_allclose(scores, alone, atol=1e-6)


def test_a_closer_query_scores_higher(bundle: Bundle) -> None:
    features = np.zeros((2, len(bundle.scorer.features)), dtype=np.float32)
    features[:, bundle.scorer.features.index("searching")] = 1
    features[1, bundle.scorer.features.index("query")] = 0.8
    far, near = bundle.scorer.score(features)
    assert near > far


@pytest.mark.parametrize("shape", [(3, 5), (14,), (0, 5)])
def test_features_of_a_wrong_shape_are_refused(bundle: Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoringError, match=r"features of shape \(n, \d+\): short_term.*got"):
        bundle.scorer.score(np.zeros(shape, dtype=np.float32))


def test_a_score_that_is_no_number_is_refused(bundle: Bundle) -> None:
    features = np.zeros((2, len(bundle.scorer.features)), dtype=np.float32)
    features[1] = np.nan
    with pytest.raises(ScoringError, match="1 of 2 scores are not finite"):
        bundle.scorer.score(features)


def test_features_that_nobody_may_write_to_are_scored(bundle: Bundle) -> None:
    features = np.full((3, len(bundle.scorer.features)), 0.3, dtype=np.float32)
    expected = bundle.scorer.score(features).tolist()
    features.flags.writeable = False
    assert bundle.scorer.score(features).tolist() == expected
    assert bundle.scorer.score(np.asfortranarray(features)).tolist() == expected


def test_an_error_of_the_runtime_is_ours() -> None:
    session = open_session((BUNDLE / "ranker.onnx").read_bytes(), name="ranker", providers=(CPU,))
    with pytest.raises(ScoringError, match=r"the ranker graph failed on features float32\[2, 1\]"):
        session.run({"features": np.zeros((2, 1), dtype=np.float32)})


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(BundleError, match="the ranker graph cannot be opened by onnxruntime"):
        open_session(b"not a graph", name="ranker", providers=(CPU,))
