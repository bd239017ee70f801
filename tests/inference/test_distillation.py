"""Making bundles: the ranker's graph is its formula, rounding keeps the product, the manifest verifies itself.

Runs where the extra `distill` is installed (`make model` makes such an environment).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

onnx = pytest.importorskip("onnx", reason="needs the extra `distill`")
pytest.importorskip("scipy", reason="needs the extra `distill`")

from click.testing import CliRunner  # noqa: E402

from inference.bundle import load_bundle  # noqa: E402
from inference.distillation.__main__ import main  # noqa: E402
from inference.distillation.bundle import write_manifest  # noqa: E402
from inference.distillation.compare import compare  # noqa: E402
from inference.distillation.examples import Examples, read_examples  # noqa: E402
from inference.distillation.quantise import column_scales, quantise  # noqa: E402
from inference.distillation.ranker import RankerWeights, choose_strength, fit, to_onnx, unfitted  # noqa: E402
from inference.encoding.providers import CPU  # noqa: E402
from inference.encoding.session import Session, open_session  # noqa: E402
from inference.errors import BundleError  # noqa: E402
from inference.manifest import read_manifest  # noqa: E402
from inference.ranking.features import FEATURES  # noqa: E402
from inference.ranking.scorer import Scorer  # noqa: E402
from tests.conftest import BUNDLE  # noqa: E402

Floats = npt.NDArray[np.float32]
NAMES = ("query", "seen_before", "constant")


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


def labelled(names: tuple[str, ...] = NAMES, lists: int = 60) -> Examples:
    """Ten candidates a list, every third one a search: `query` speaks for an item and `seen_before` against it."""
    rng = np.random.default_rng(3)
    n = 10 * lists
    features = rng.normal(size=(n, len(names))).astype(np.float32)
    groups = np.repeat(np.arange(lists), 10)
    if "searching" in names:
        features[:, names.index("searching")] = groups % 3 == 0
    else:
        features[:, names.index("constant")] = 1
    odds = 2 * features[:, names.index("query")] - features[:, names.index("seen_before")]
    labels = (odds + rng.normal(size=n) > 2).astype(np.int64)
    weights = np.ones(n, dtype=np.float32)
    return Examples(features, names, labels, weights, groups, np.bincount(groups, labels).astype(np.int64))


def test_a_fit_finds_the_signs_and_ignores_what_never_varies() -> None:
    fitted = fit(labelled())
    assert fitted.weights[0] > 0 > fitted.weights[1]
    assert fitted.weights[2] == 0


def test_more_similar_never_speaks_against_an_item() -> None:
    examples = labelled()
    against = replace(examples, features=examples.features * np.array([-1, 1, 1], dtype=np.float32))
    assert fit(against).weights[0] == 0


def test_without_bounds_at_work_it_is_the_logistic_regression() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    examples = replace(labelled(), weights=np.linspace(0.5, 2, 600))
    ours = fit(examples, 0.7)
    x = (examples.features - ours.mean) / ours.std
    theirs = linear_model.LogisticRegression(C=0.7, tol=1e-9, max_iter=5000)
    theirs.fit(x, examples.labels, sample_weight=examples.weights)
    np.testing.assert_allclose(ours.weights, theirs.coef_[0], atol=1e-3)
    assert ours.bias == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_an_example_that_stands_for_two_counts_as_two() -> None:
    examples = labelled()
    twice = replace(examples, weights=2 * examples.weights)
    doubled = Examples(
        *(np.repeat(examples.features, 2, axis=0), NAMES, np.repeat(examples.labels, 2), np.ones(1200)),
        *(np.repeat(examples.groups, 2), examples.relevant),
    )
    np.testing.assert_allclose(fit(twice).weights, fit(doubled).weights, atol=1e-4)


def test_the_strength_is_chosen_on_later_lists() -> None:
    examples = labelled()
    assert choose_strength(examples.split(0, 0.7), examples.split(0.7, 1), (1e-9, 1.0)) in {1e-9, 1.0}


def test_lists_are_split_in_time() -> None:
    examples = labelled()
    first, last = examples.split(0, 0.75), examples.split(0.75, 1)
    assert (len(first.relevant), len(last.relevant)) == (45, 15)
    np.testing.assert_array_equal(np.concatenate([first.labels, last.labels]), examples.labels)
    assert (last.groups[0], last.groups[-1]) == (0, 14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((4, 2))}, r"features \(600, 3\)"),
        ({"features": np.full((600, 3), np.nan)}, "finite features"),
        ({"labels": np.ones(600, dtype=np.int64)}, "labels 0 and 1, both"),
        ({"groups": np.arange(600)[::-1]}, "groups that rise"),
    ],
)
def test_data_that_cannot_teach_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        replace(labelled(), **change)


def test_the_comparison_puts_the_better_order_first() -> None:
    examples = labelled(FEATURES)
    table = compare(examples, Scorer(open_graph(to_onnx(fit(examples))), FEATURES)).splitlines()
    assert table[0] == "Held out: 40 lists browsing, 20 lists searching."
    cells = {row.split("|")[1].strip(): float(row.split("|")[4]) for row in table[4:]}
    assert cells["**this ranker**"] == max(cells.values())


def test_what_is_not_fitted_prefers_nothing() -> None:
    scorer = Scorer(open_graph(to_onnx(unfitted())), FEATURES)
    assert set(scorer.score(labelled(FEATURES).features).tolist()) == {0.5}


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
    examples = labelled(FEATURES)
    arrays: dict[str, Any] = {each: np.asarray(getattr(examples, each)) for each in examples.__slots__}
    np.savez(tmp_path / "data.npz", **arrays)
    result = CliRunner().invoke(main, ["ranker", str(tmp_path / "data.npz"), "--into", str(copy)])
    assert result.exit_code == 0, result.output
    scorer = load_bundle(copy).scorer
    rows = np.zeros((2, len(FEATURES)), dtype=np.float32)
    rows[:, FEATURES.index("query")] = (2, -2)
    likely, unlikely = scorer.score(rows)
    assert likely > 0.5 > unlikely
    judged = CliRunner().invoke(main, ["evaluate", str(tmp_path / "data.npz"), "--into", str(copy)])
    assert judged.output.strip() in result.output


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", anything=np.zeros(3))
    with pytest.raises(BundleError, match=r"data\.npz: required examples written by `intentstream examples`"):
        read_examples(tmp_path / "data.npz")


def test_a_ranker_of_other_features_does_not_load(copy: Path) -> None:
    before = read_manifest(BUNDLE)
    other = RankerWeights(NAMES, np.zeros(3), np.ones(3), np.zeros(3), 0.0)
    onnx.save_model(to_onnx(other), copy / "ranker.onnx")
    with pytest.raises(BundleError, match="fitted to query, seen_before, constant: fit it anew"):
        write_manifest(copy, origin=before.created_from, max_tokens=before.max_tokens)
