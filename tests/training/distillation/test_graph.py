"""The encoder's graph equals BERT's formula in NumPy, in every precision and batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

onnx = pytest.importorskip("onnx", reason="needs the extra `distill`")

from scipy.special import erf  # noqa: E402

from inference.encoding.providers import CPU  # noqa: E402
from inference.encoding.session import Session, open_session  # noqa: E402
from training.distillation.graph import Graph, Weights, encoder_graph  # noqa: E402
from training.distillation.precision import (  # noqa: E402
    Blocks,
    Plain,
    RoundedTable,
    Tokens8,
    column_scales,
    rounded_blocks,
)

Floats = npt.NDArray[np.float32]
DIM, WIDE, HEADS, WORDS, EPSILON = 64, 96, 4, 50, 1e-12


def weights(layers: int = 2) -> Weights:
    rng = np.random.default_rng(1)

    def normal(*shape: int) -> Floats:
        return np.asarray(rng.normal(size=shape) / np.sqrt(shape[-1]), dtype=np.float32)

    found = {
        "embeddings.word_embeddings.weight": normal(WORDS, DIM),
        "embeddings.position_embeddings.weight": normal(20, DIM),
        "embeddings.token_type_embeddings.weight": normal(2, DIM),
        "embeddings.LayerNorm.weight": 1 + normal(DIM),
        "embeddings.LayerNorm.bias": normal(DIM),
    }
    square = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    shapes = dict.fromkeys(square, (DIM, DIM)) | {"intermediate.dense": (WIDE, DIM), "output.dense": (DIM, WIDE)}
    for layer in range(layers):
        for name, shape in shapes.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = normal(*shape)
            found[f"encoder.layer.{layer}.{name}.bias"] = normal(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"encoder.layer.{layer}.{name}.weight"] = 1 + normal(DIM)
            found[f"encoder.layer.{layer}.{name}.bias"] = normal(DIM)
    return found


def by_formula(w: Weights, ids: npt.NDArray[np.int64]) -> Floats:
    """Return the embedding of one text without padding, after the paper's formula."""

    def norm(x: Floats, name: str) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return np.asarray(scaled * w[f"{name}.weight"] + w[f"{name}.bias"], dtype=np.float32)

    def dense(x: Floats, name: str) -> Floats:
        return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    e = "embeddings"
    x = w[f"{e}.word_embeddings.weight"][ids] + w[f"{e}.position_embeddings.weight"][: len(ids)]
    x = norm(x + w[f"{e}.token_type_embeddings.weight"][0], f"{e}.LayerNorm")
    for layer in range(2):
        at = f"encoder.layer.{layer}"
        q, k, v = (
            dense(x, f"{at}.attention.self.{each}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
            for each in ("query", "key", "value")
        )
        scores = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        mixed = mixed.transpose(1, 0, 2).reshape(len(ids), DIM)
        x = norm(x + dense(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        wide = dense(x, f"{at}.intermediate.dense")
        activated = wide * 0.5 * (1 + erf(wide / np.sqrt(2)))
        x = norm(x + dense(activated.astype(np.float32), f"{at}.output.dense"), f"{at}.output.LayerNorm")
    total = x.mean(0)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def opened(products: Plain) -> Session:
    graph = encoder_graph(weights(), products, heads=HEADS, epsilon=EPSILON)
    return open_session(graph.SerializeToString(), name="encoder", providers=(CPU,))


TEXTS = [np.random.default_rng(2).integers(0, WORDS, size) for size in (1, 3, 7, 12)]


def run(session: Session, texts: list[npt.NDArray[np.int64]]) -> Floats:
    ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
    return session.run({"input_ids": ids, "attention_mask": mask})


PRECISIONS = {
    "float32": (Plain(), 0.999999),
    "float16": (RoundedTable(np.float16), 0.999),
    "int8": (Tokens8(), 0.995),
    "blocks": (Blocks(32), 0.998),
}


@pytest.mark.parametrize(("products", "least"), PRECISIONS.values(), ids=PRECISIONS.keys())
def test_the_graph_equals_the_formula_with_and_without_padding(products: Plain, least: float) -> None:
    session = opened(products)
    together = run(session, TEXTS)
    for row, text in enumerate(TEXTS):
        assert float(together[row] @ by_formula(weights(), text)) >= least
        np.testing.assert_allclose(
            run(session, [text])[0], together[row], atol=2e-3 if "16" in str(products.dtype) else 1e-5
        )


@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.floats(-5, 5, width=32)))
def test_sums_of_two_int8_products_do_not_saturate(values: Floats) -> None:
    integers = np.rint(values / column_scales(values)).astype(np.int64)
    padded = np.pad(integers, ((0, len(integers) % 2), (0, 0))).reshape(-1, 2, integers.shape[1])
    assert (np.maximum(padded, 0).sum(axis=1) * 255 <= 32767).all()
    assert (np.minimum(padded, 0).sum(axis=1) * 255 >= -32768).all()


@given(arrays(np.float32, (40, 3), elements=st.floats(-5, 5, width=32)))
def test_block_rounding_is_within_half_a_step(values: Floats) -> None:
    integers, steps = rounded_blocks(values, 16)
    back = (integers.astype(np.float32) - 128) * steps.reshape(3, -1, 1)
    np.testing.assert_allclose(back.reshape(3, -1)[:, :40].T, values, atol=float(steps.max()) * 0.51)


def test_a_rounded_product_is_accurate_in_each_row() -> None:
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(64, 16)).astype(np.float32)
    graph = Graph()
    y = Tokens8().product(graph, "x", "w", matrix)
    made = onnx.helper.make_graph(
        graph.nodes,
        "product",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 64])],
        [onnx.helper.make_tensor_value_info(y, onnx.TensorProto.FLOAT, ["n", 16])],
        [onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(made, opset_imports=opsets, ir_version=8)
    session = open_session(model.SerializeToString(), name="test", providers=(CPU,))
    # Rows of very different size: with one scale for all, small rows would be rounded to 0.
    x = (rng.normal(size=(6, 64)) * np.array([[1e-3], [1], [1e3], [1], [1e-3], [0]])).astype(np.float32)
    together, exact = session.run({"x": x}), x @ matrix
    assert (np.abs(together - exact).max(axis=1) <= 0.03 * np.abs(exact).max(axis=1)).all()
    for i in range(len(x)):
        np.testing.assert_array_equal(session.run({"x": x[i : i + 1]})[0], together[i])
