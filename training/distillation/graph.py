"""Builds the encoder as an ONNX graph of few, fused operators, which makes a query of five tokens fast.

The graph maps `input_ids`, `attention_mask`, both int64 (batch, tokens), to `embedding`, float32 (batch, dim):
L2-normalised sums of the last layer, which are the same as normalised means. The weights are those of BERT (Devlin et
al. 2019, arXiv:1810.04805) by the names of Hugging Face; `products` defines their multiplication.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""The versions that the oldest supported ONNX Runtime reads. By default the onnx package writes its newest ones."""

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]
Weights = Mapping[str, Floats]


@dataclass(slots=True)
class Graph:
    """The nodes and constants added so far. A counter makes the names of nodes unique."""

    dtype: type[np.floating] = np.float32
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def add(self, op: str, inputs: Sequence[str], *, outputs: int = 1, domain: str = "", **attributes: object) -> str:
        """Add a node and return the name of its first output; the others end in .1, .2 and so on."""
        name = f"{op}_{len(self.nodes)}"
        names = [name, *(f"{name}.{each}" for each in range(1, outputs))]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=name, domain=domain, **attributes))
        return name

    def constant(self, name: str, value: Array) -> str:
        """Add a constant, once, and return its name."""
        self.constants.setdefault(name, value)
        return name

    def floats(self, name: str, value: Floats) -> str:
        """Add a constant in the graph's float type."""
        return self.constant(name, value.astype(self.dtype))


class Products(Protocol):
    """The multiplication with weights and the storage of the word table, for one precision."""

    dtype: type[np.floating]

    def product(self, graph: Graph, x: str, name: str, weights: Floats) -> str:
        """Add x · weights, weights of shape (in, out), and return the name of the result."""
        ...

    def rows(self, graph: Graph, ids: str, name: str, table: Floats) -> str:
        """Add the rows `ids` of a table and return the name of the result."""
        ...


def encoder_graph(weights: Weights, products: Products, *, heads: int, epsilon: float) -> onnx.ModelProto:
    """Return the graph of a BERT encoder with mean pooling.

    `weights` are float32 arrays by name without a prefix, such as `encoder.layer.0.output.dense.weight`.
    """
    graph = Graph(products.dtype)
    x = _embedded(graph, weights, products, epsilon)
    mask = graph.add("Cast", ["attention_mask"], to=TensorProto.INT32)
    for layer in range(1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))):
        x = _layer(graph, {k: weights[f"encoder.layer.{layer}.{k}"] for k in _LAYER}, f"layer.{layer}", products,
                   x, mask, heads, epsilon)  # fmt: skip
    _pooled(graph, x)
    return _model(graph, dim=weights[_TABLE].shape[1])


_TABLE = "embeddings.word_embeddings.weight"
_LAYER = tuple(
    f"{part}.{kind}"
    for part in (
        "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
        "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm",
    )
    for kind in ("weight", "bias")
)  # fmt: skip


def _embedded(graph: Graph, weights: Weights, products: Products, epsilon: float) -> str:
    words = products.rows(graph, "input_ids", "words", weights[_TABLE])
    # Every token is of type 0, so its row is added to the positions once.
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    size = graph.add("Shape", ["input_ids"], start=1, end=2)
    start = graph.constant("zero", np.array([0], dtype=np.int64))
    shown = graph.add("Slice", [graph.floats("positions", positions), start, size])
    return graph.add(
        "LayerNormalization",
        [
            graph.add("Add", [words, shown]),
            graph.floats("embedded.gain", weights["embeddings.LayerNorm.weight"]),
            graph.floats("embedded.offset", weights["embeddings.LayerNorm.bias"]),
        ],
        axis=-1,
        epsilon=epsilon,
    )


def _layer(
    graph: Graph, w: Weights, name: str, products: Products, x: str, mask: str, heads: int, epsilon: float
) -> str:
    three = ("query", "key", "value")
    joined = np.concatenate([w[f"attention.self.{each}.weight"].T for each in three], axis=1)
    bias = np.concatenate([w[f"attention.self.{each}.bias"] for each in three])
    qkv = products.product(graph, x, f"{name}.qkv", joined)
    parts = graph.add("Split", [qkv], outputs=3, axis=-1)
    attended = graph.add(
        "MultiHeadAttention",
        [parts, f"{parts}.1", f"{parts}.2", graph.floats(f"{name}.qkv.bias", bias), mask],
        domain=MICROSOFT,
        num_heads=heads,
    )
    mixed = products.product(graph, attended, f"{name}.mixed", w["attention.output.dense.weight"].T)
    x = _added(graph, mixed, x, f"{name}.mixed", w, "attention.output", epsilon)
    wide = products.product(graph, x, f"{name}.wide", w["intermediate.dense.weight"].T)
    bent = graph.add("BiasGelu", [wide, graph.floats(f"{name}.wide.bias", w["intermediate.dense.bias"])],
                     domain=MICROSOFT)  # fmt: skip
    narrow = products.product(graph, bent, f"{name}.narrow", w["output.dense.weight"].T)
    return _added(graph, narrow, x, f"{name}.narrow", w, "output", epsilon)


MICROSOFT = "com.microsoft"


def _added(graph: Graph, y: str, x: str, name: str, w: Weights, part: str, epsilon: float) -> str:
    """Add x + y + bias, normalised."""
    return graph.add(
        "SkipLayerNormalization",
        [
            y,
            x,
            graph.floats(f"{name}.gain", w[f"{part}.LayerNorm.weight"]),
            graph.floats(f"{name}.offset", w[f"{part}.LayerNorm.bias"]),
            graph.floats(f"{name}.bias", w[f"{part}.dense.bias"]),
        ],
        domain=MICROSOFT,
        epsilon=epsilon,
    )


def _pooled(graph: Graph, x: str) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(graph.dtype))
    shown = graph.add("Cast", ["attention_mask"], to=kind)
    row = graph.add("Unsqueeze", [shown, graph.constant("one", np.array([1], dtype=np.int64))])
    total = graph.add("Squeeze", [graph.add("MatMul", [row, x]), "one"])
    if graph.dtype != np.float32:
        total = graph.add("Cast", [total], to=TensorProto.FLOAT)
    length = graph.add("ReduceL2", [total], axes=[-1], keepdims=1)
    graph.nodes.append(helper.make_node("Div", [total, length], ["embedding"]))


def _model(graph: Graph, dim: int) -> onnx.ModelProto:
    free = ["batch", "tokens"]
    proto = helper.make_graph(
        graph.nodes,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, free) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dim])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(proto, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model
