"""The ranker: one probability for each row, the same from the compiled network as from ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper

from inference.bundle import Bundle
from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.errors import ScoringError
from inference.manifest_files import read_manifest
from inference.ranking.features import FEATURES
from inference.ranking.scorer import CompiledNetwork, Graph, Scorer, read_weights
from inference.types import Vector
from tests.conftest import BUNDLE
from tests.training.ranker.flat import flat, like
from training.ranker.network import Calibration, Network, Ranker, to_onnx, unfitted

pytestmark = pytest.mark.kernel


SHIPPED = (BUNDLE / "ranker.onnx").read_bytes()
WIDTH = len(read_manifest(BUNDLE).features)


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


def test_read_only_features_are_scored(bundle: Bundle) -> None:
    features = np.full((3, len(bundle.scorer.features)), 0.3, dtype=np.float32)
    expected = bundle.scorer.score(features).tolist()
    features.flags.writeable = False
    assert bundle.scorer.score(features).tolist() == expected
    assert bundle.scorer.score(np.asfortranarray(features)).tolist() == expected


def compiled(graph: bytes) -> CompiledNetwork:
    weights = read_weights(graph)
    assert weights is not None
    return CompiledNetwork(weights)


def by_runtime(graph: bytes, features: Vector) -> Vector:
    return open_session(graph, name="ranker", providers=(CPU,)).run({"features": features})


def some_features(rows: int, seed: int, width: int = WIDTH) -> Vector:
    """Candidates of which most features are 0, as they are."""
    random = np.random.default_rng(seed)
    return (random.uniform(-1, 1, (rows, width)) * (random.random((rows, width)) < 0.5)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_the_shipped_ranker_scores_as_in_the_runtime(seed: int) -> None:
    features = some_features(300, seed, WIDTH)
    np.testing.assert_allclose(
        compiled(SHIPPED).run({"features": features}), by_runtime(SHIPPED, features), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("graph", [compiled(SHIPPED), open_session(SHIPPED, name="ranker", providers=(CPU,))])
def test_a_ranker_ignores_features_that_it_was_not_fitted_to(graph: Graph) -> None:
    names = read_manifest(BUNDLE).features
    more = ("unknown", *names[::-1], "other")
    own, all_columns = Scorer(graph, names), Scorer(graph, names).taking(more)
    assert all_columns.features == more
    features = some_features(50, 3, len(names))
    wider = np.concatenate([np.ones((50, 1)), features[:, ::-1], np.ones((50, 1))], axis=1).astype(np.float32)
    np.testing.assert_allclose(all_columns.score(wider), own.score(features), atol=1e-6)
    assert own.taking(names) is own


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), units=st.sampled_from([0, 1, 2, 5, 8, 17, 32]), width=st.integers(1, 40))
def test_any_network_scores_as_in_the_runtime(seed: int, units: int, width: int) -> None:
    random = np.random.default_rng(seed)
    network = Network.start(width, units, seed)
    network = like(network, random.normal(scale=0.5, size=flat(network).size))
    calibration = Calibration(float(random.uniform(0.1, 2)), np.zeros(width), float(random.normal()))
    names = tuple(map(str, range(width)))
    ranker = Ranker(names, random.normal(size=width), random.uniform(0.5, 2, width), network, calibration)
    graph, features = to_onnx(ranker).SerializeToString(), some_features(9, seed, width)
    np.testing.assert_allclose(
        compiled(graph).run({"features": features}), by_runtime(graph, features), rtol=0, atol=1e-6
    )


def test_features_whose_weights_are_almost_0_are_not_read() -> None:
    ranker = unfitted(("a", "b", "c"))
    network = replace(
        ranker.network,
        direct=np.array([1.0, 0.0, -1.0]),
        hidden=np.array([[0.5], [1e-39], [0.5]]),
        bias=np.zeros(1),
        output=np.ones(1),
    )
    weights = read_weights(to_onnx(replace(ranker, network=network)).SerializeToString())
    assert weights is not None
    assert weights.hidden[0, 1] == 0.0
    features = some_features(20, 2, 3)
    expected = CompiledNetwork(weights).run({"features": features})
    features[:, 1] = np.nan
    assert CompiledNetwork(weights).run({"features": features}).tolist() == expected.tolist()


def test_a_score_has_the_same_bits_in_any_batch() -> None:
    features, network = some_features(64, 1, WIDTH), compiled(SHIPPED)
    alone = [network.run({"features": features[[row]]})[0] for row in range(len(features))]
    assert network.run({"features": features}).tolist() == np.array(alone).tolist()


def test_a_score_far_from_zero_is_certain_and_overflows_nowhere() -> None:
    network = compiled(to_onnx(steep()).SerializeToString())
    scores = network.run({"features": np.array([[-1e4], [0], [1e4]], dtype=np.float32)})
    assert scores.tolist() == [0, 0.5, 1]


def steep() -> Ranker:
    network = Network(np.ones(1), np.zeros((1, 0)), np.zeros(0), np.zeros(0))
    return Ranker(("x",), np.zeros(1), np.ones(1), network, Calibration(1.0, np.zeros(1), 0.0))


@pytest.mark.parametrize("shape", [(3, 2), (3,), (2, WIDTH + 1)])
def test_features_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoringError, match=rf"features of shape \(n, {WIDTH}\), got"):
        compiled(SHIPPED).run({"features": np.zeros(shape, dtype=np.float32)})


def another_activation(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type = "Tanh"


def a_transposed_product(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", 2.0))


def half_precision(model: onnx.ModelProto) -> None:
    (direct,) = [each for each in model.graph.initializer if each.name == "direct"]
    direct.CopyFrom(onnx.numpy_helper.from_array(np.zeros((WIDTH, 1), dtype=np.float16), "direct"))


def another_wiring(model: onnx.ModelProto) -> None:
    model.graph.node[3].input[2] = "offset"


def a_weight_as_input(model: onnx.ModelProto) -> None:
    (direct,) = [each for each in model.graph.initializer if each.name == "direct"]
    model.graph.initializer.remove(direct)
    model.graph.input.append(helper.make_tensor_value_info("direct", TensorProto.FLOAT, [len(FEATURES), 1]))


@pytest.mark.parametrize(
    "change", [another_activation, a_transposed_product, half_precision, another_wiring, a_weight_as_input]
)
def test_a_graph_of_another_shape_is_left_to_the_runtime(change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load_model_from_string(SHIPPED)
    change(model)
    assert read_weights(model.SerializeToString()) is None


def test_the_weights_of_a_ranker_without_hidden_units_are_read() -> None:
    weights = read_weights(to_onnx(unfitted()).SerializeToString())
    assert weights is not None
    assert weights.hidden.shape == (0, len(FEATURES))


def test_a_ranker_reads_its_own_columns_of_wider_rows() -> None:
    features = np.random.default_rng(0).uniform(-1, 1, (300, len(FEATURES))).astype(np.float32)
    names = tuple(sorted(FEATURES)[:20])
    own = np.ascontiguousarray(features[:, [FEATURES.index(name) for name in names]])
    model = to_onnx(unfitted(names)).SerializeToString()
    random = np.random.default_rng(1)
    weights = read_weights(model)
    assert weights is not None
    weights = weights._replace(direct=random.normal(size=20).astype(np.float32))
    compiled = Scorer(CompiledNetwork(weights), names)
    np.testing.assert_array_equal(compiled.taking(FEATURES).score(features), compiled.score(own))
    by_runtime = Scorer(open_session(model, name="ranker", providers=(CPU,)), names)
    np.testing.assert_array_equal(by_runtime.taking(FEATURES).score(features), by_runtime.score(own))
    assert compiled.taking(names) is compiled
