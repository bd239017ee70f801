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


MICROSOFT = "com.microsoft"
_TABLE = "embeddings.word_embeddings.weight"


def encoder_graph(weights: Weights, products: Products, *, heads: int, epsilon: float) -> onnx.ModelProto:
    """Return the graph of a BERT encoder with mean pooling.

    `weights` are float32 arrays by name without a prefix, such as `encoder.layer.0.output.dense.weight`.
    """
    bert = _Bert(Graph(products.dtype), weights, products, heads, epsilon)
    x = bert.embedding()
    mask = bert.graph.add("Cast", ["attention_mask"], to=TensorProto.INT32)
    for layer in range(1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))):
        x = bert.layer(layer, x, mask)
    _pooled(bert.graph, x)
    return _model(bert.graph, dim=weights[_TABLE].shape[1])


@dataclass(frozen=True, slots=True)
class _Bert:
    """Adds the parts of one encoder to `graph`. Each part returns the name of its result."""

    graph: Graph
    weights: Weights
    products: Products
    heads: int
    epsilon: float

    def embedding(self) -> str:
        """Add the normalised sum of words, positions and types."""
        graph, w = self.graph, self.weights
        words = self.products.rows(graph, "input_ids", "words", w[_TABLE])
        # Every token is of type 0, so its row is added to the positions once.
        positions = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
        size = graph.add("Shape", ["input_ids"], start=1, end=2)
        start = graph.constant("zero", np.array([0], dtype=np.int64))
        shown = graph.add("Slice", [graph.floats("positions", positions), start, size])
        return graph.add(
            "LayerNormalization",
            [
                graph.add("Add", [words, shown]),
                graph.floats("embedded.gain", w["embeddings.LayerNorm.weight"]),
                graph.floats("embedded.offset", w["embeddings.LayerNorm.bias"]),
            ],
            axis=-1,
            epsilon=self.epsilon,
        )

    def layer(self, number: int, x: str, mask: str) -> str:
        """Add the attention and the feed-forward network of layer `number` to `x`."""
        graph, products, name, prefix = self.graph, self.products, f"layer.{number}", f"encoder.layer.{number}"
        start = f"{prefix}."
        w = {each.removeprefix(start): value for each, value in self.weights.items() if each.startswith(start)}
        three = ("query", "key", "value")
        # One product in place of three: fewer operators make short texts faster.
        joined = np.concatenate([w[f"attention.self.{each}.weight"].T for each in three], axis=1)
        bias = np.concatenate([w[f"attention.self.{each}.bias"] for each in three])
        qkv = products.product(graph, x, f"{name}.qkv", joined)
        parts = graph.add("Split", [qkv], outputs=3, axis=-1)
        attended = graph.add(
            "MultiHeadAttention",
            [parts, f"{parts}.1", f"{parts}.2", graph.floats(f"{name}.qkv.bias", bias), mask],
            domain=MICROSOFT,
            num_heads=self.heads,
        )
        mixed = products.product(graph, attended, f"{name}.mixed", w["attention.output.dense.weight"].T)
        x = self._residual(mixed, x, f"{name}.mixed", f"{prefix}.attention.output")
        wide = products.product(graph, x, f"{name}.wide", w["intermediate.dense.weight"].T)
        bent = graph.add("BiasGelu", [wide, graph.floats(f"{name}.wide.bias", w["intermediate.dense.bias"])],
                         domain=MICROSOFT)  # fmt: skip
        narrow = products.product(graph, bent, f"{name}.narrow", w["output.dense.weight"].T)
        return self._residual(narrow, x, f"{name}.narrow", f"{prefix}.output")

    def _residual(self, y: str, x: str, name: str, part: str) -> str:
        """Add x + y + bias, normalised."""
        graph, w = self.graph, self.weights
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
            epsilon=self.epsilon,
        )


def _pooled(graph: Graph, x: str) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(graph.dtype))
    shown = graph.add("Cast", ["attention_mask"], to=kind)
    # The mask times the states is the sum over the tokens: (batch, 1, tokens) · (batch, tokens, dim).
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
