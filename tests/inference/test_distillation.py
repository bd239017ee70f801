"""Making bundles: the ranker's graph is its formula, rounding keeps the product, the manifest verifies itself.

Runs where the extra `distill` is installed (`make model` makes such an environment).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

onnx = pytest.importorskip("onnx", reason="needs the extra `distill`")
pytest.importorskip("sklearn", reason="needs the extra `distill`")

from click.testing import CliRunner  # noqa: E402

from inference.bundle import load_bundle  # noqa: E402
from inference.distillation.__main__ import main  # noqa: E402
from inference.distillation.bundle import write_manifest  # noqa: E402
from inference.distillation.quantise import column_scales, quantise  # noqa: E402
from inference.distillation.ranker import RankerWeights, fit, to_onnx  # noqa: E402
from inference.encoding.providers import CPU  # noqa: E402
from inference.encoding.session import Session, open_session  # noqa: E402
from inference.errors import BundleError  # noqa: E402
from inference.manifest import read_manifest  # noqa: E402
from inference.ranking.scorer import Scorer  # noqa: E402
from tests.conftest import BUNDLE  # noqa: E402

Floats = npt.NDArray[np.float32]
NAMES = ("query", "popularity", "constant")


def sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


def open_graph(model: object) -> Session:
    return open_session(model.SerializeToString(), name="test", providers=(CPU,))  # type: ignore[attr-defined]


def columns(low: float, high: float) -> st.SearchStrategy[npt.NDArray[np.float64]]:
    return arrays(np.float64, 3, elements=st.floats(low, high))


@settings(deadline=None, max_examples=30)
@given(
    mean=columns(-3, 3),
    std=columns(0.1, 3),
    weights=columns(-3, 3),
    bias=st.floats(-3, 3),
    x=arrays(np.float32, (5, 3), elements=st.floats(-3, 3, width=32)),
)
def test_the_graph_is_the_formula(
    mean: npt.NDArray[np.float64],
    std: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    bias: float,
    x: Floats,
) -> None:
    scorer = Scorer(open_graph(to_onnx(RankerWeights(NAMES, mean, std, weights, bias))), NAMES)
    np.testing.assert_allclose(scorer.score(x), sigmoid((x - mean) / std @ weights + bias), atol=1e-4)


def labelled() -> tuple[Floats, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(400, 3)).astype(np.float32)
    features[:, 2] = 1
    return features, (2 * features[:, 0] - features[:, 1] > 0).astype(np.int64)


def test_a_fit_finds_the_signs_and_ignores_what_never_varies() -> None:
    fitted = fit(*labelled(), NAMES)
    assert fitted.weights[0] > 0 > fitted.weights[1]
    assert fitted.weights[2] == 0


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.zeros((4, 2)), np.array([0, 1, 0, 1]), r"needs features \(4, 3\)"),
        (np.full((2, 3), np.nan), np.array([0, 1]), "finite features"),
        (np.zeros((2, 3)), np.array([1, 1]), "labels 0 and 1, both"),
    ],
)
def test_data_that_cannot_teach_are_refused(features: Floats, labels: npt.NDArray[np.int64], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        fit(features, labels, NAMES)


@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.floats(-5, 5, width=32)))
def test_no_two_weights_that_are_added_first_saturate(weights: Floats) -> None:
    integers = np.rint(weights / column_scales(weights)).astype(np.int64)
    padded = np.pad(integers, ((0, len(integers) % 2), (0, 0))).reshape(-1, 2, integers.shape[1])
    assert (np.maximum(padded, 0).sum(axis=1) * 255 <= 32767).all()
    assert (np.minimum(padded, 0).sum(axis=1) * 255 >= -32768).all()


def test_rounding_keeps_a_product_row_by_row() -> None:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(64, 16)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", kind, ["n", 64])],
        [helper.make_tensor_value_info("y", kind, ["n", 16])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = open_graph(quantise(model))
    # Rows of very different size: one scale for all would leave nothing of the small ones.
    x = (rng.normal(size=(6, 64)) * np.array([[1e-3], [1], [1e3], [1], [1e-3], [0]])).astype(np.float32)
    together = session.run({"x": x})
    exact = x @ weights
    assert (np.abs(together - exact).max(axis=1) <= 0.03 * np.abs(exact).max(axis=1)).all()
    for i in range(len(x)):
        np.testing.assert_array_equal(session.run({"x": x[i : i + 1]})[0], together[i])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, tmp_path / "minilm-l6" / "2"))


def test_a_manifest_written_anew_verifies(copy: Path) -> None:
    before = read_manifest(BUNDLE)
    bundle = write_manifest(copy, origin=before.created_from, max_tokens=before.max_tokens)
    assert (bundle.version, bundle.manifest.files) == ("2", before.files)
    assert load_bundle(copy).manifest == bundle.manifest


def test_a_bundle_without_a_ranker_is_refused(copy: Path) -> None:
    (copy / "ranker.onnx").unlink()
    with pytest.raises(BundleError, match=r"ranker\.onnx: cannot be read"):
        write_manifest(copy, origin=read_manifest(BUNDLE).created_from, max_tokens=128)


def test_the_command_fits_a_ranker_into_a_bundle(copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra `distill`")
    features, labels = labelled()
    np.savez(tmp_path / "data.npz", features=features, labels=labels, names=np.array(NAMES))
    result = CliRunner().invoke(main, ["ranker", str(tmp_path / "data.npz"), "--into", str(copy)])
    assert result.exit_code == 0, result.output
    scorer = load_bundle(copy).scorer
    assert scorer.features == NAMES
    likely, unlikely = scorer.score(np.array([[1, 0, 1], [-1, 0, 1]], dtype=np.float32))
    assert likely > 0.9 > 0.1 > unlikely
