"""Builds the sequence model as an ONNX graph, whose constants have the names of `SequenceWeights`.

Inputs, for n shoppers with their RECENT newest items, newest first, filled up with zeros:

    vectors        float32 (n, RECENT, dim)  the encoder's vectors of the items
    action_places  int64 (n, RECENT)   places in ACTIONS
    gap_places     int64 (n, RECENT)   buckets of the time between the newest action and this one
    pause_places   int64 (n,)          buckets of the time since the newest action
    lengths        int64 (n,)          numbers of items, at least 1

Output: `vectors_out`, float32 (n, 1 + RECENT, width): the unit vector of the shopper, then those of the items.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.kernels.sequence_layers import SequenceWeights
from inference.queries import RECENT
from training.distillation.graph import IR_VERSION, OPSET, Graph

INPUTS = ("vectors", "action_places", "gap_places", "pause_places", "lengths")
OUTPUT = "vectors_out"
HIDDEN_LOGIT = -1e9


def to_onnx(weights: SequenceWeights) -> onnx.ModelProto:
    """Return the graph of a model."""
    graph = Graph()
    graph.constants.update(weights._asdict())
    heads, width = len(weights.ranks), len(weights.enter_bias)
    items = _unit(graph, _linear(graph, "vectors", "project"))
    inputs = _sum(graph, _linear(graph, items, "enter"), graph.add("Gather", ["actions", "action_places"]))
    normed = _norm(graph, inputs, 0)
    newest, first = _newest(graph, normed), _newest(graph, inputs)
    shares = _attention(graph, normed, newest, (heads, width))
    values = _split(graph, _linear(graph, normed, "value"), (0, RECENT, heads, width // heads), [0, 2, 1, 3])
    # (n, heads, 1, RECENT) · (n, heads, RECENT, width / heads). In `Reshape` a 0 keeps the dimension of the input.
    mixed = graph.add("MatMul", [graph.add("Unsqueeze", [shares, _ints(graph, [2])]), values])
    mixed = graph.add("Reshape", [mixed, _ints(graph, [0, width])])
    state = _sum(graph, first, _linear(graph, mixed, "mix"))
    hidden = graph.add("Relu", [_linear(graph, _norm(graph, state, 1), "up")])
    state = _sum(graph, state, _linear(graph, hidden, "down"))
    state = _sum(graph, state, graph.add("Gather", ["pauses", "pause_places"]))
    skipped = graph.add("MatMul", [shares, items])
    skipped = graph.add("Mul", [skipped, graph.add("Unsqueeze", ["skip", _ints(graph, [1])])])
    skipped = graph.add("ReduceSum", [skipped, _ints(graph, [1])], keepdims=0)
    output = _unit(graph, _sum(graph, skipped, _linear(graph, _norm(graph, state, 2), "leave")))
    output = graph.add("Unsqueeze", [output, _ints(graph, [1])])
    graph.nodes.append(helper.make_node("Concat", [output, items], [OUTPUT], axis=1))
    return _model(graph, weights)


def _attention(graph: Graph, normed: str, newest: str, sizes: tuple[int, int]) -> str:
    """Return the shares of the actions for each head, (n, heads, RECENT)."""
    heads, width = sizes
    query = graph.add("Reshape", [_linear(graph, newest, "query"), _ints(graph, [0, heads, 1, width // heads])])
    keys = graph.add("MatMul", [normed, graph.add("Transpose", ["key"], perm=[1, 0])])
    keys = _split(graph, keys, (0, RECENT, heads, width // heads), [0, 2, 3, 1])
    logits = graph.add("Squeeze", [graph.add("MatMul", [query, keys]), _ints(graph, [2])])
    gaps = graph.add("Transpose", [graph.add("Gather", ["gaps", "gap_places"], axis=1)], perm=[1, 0, 2])
    logits = _sum(graph, _sum(graph, logits, "ranks"), gaps)
    lengths = graph.add("Unsqueeze", ["lengths", _ints(graph, [1, 2])])
    # Padding gets a logit so low that its share is 0.
    known = graph.add("Less", [_ints(graph, list(range(RECENT))), lengths])
    return graph.add("Softmax", [graph.add("Where", [known, logits, _floats(graph, HIDDEN_LOGIT)])], axis=-1)


def _newest(graph: Graph, actions: str) -> str:
    return graph.add("Gather", [actions, _ints(graph, 0)], axis=1)


def _linear(graph: Graph, inputs: str, name: str) -> str:
    return _sum(graph, graph.add("MatMul", [inputs, name]), f"{name}_bias")


def _sum(graph: Graph, one: str, other: str) -> str:
    return graph.add("Add", [one, other])


def _norm(graph: Graph, inputs: str, number: int) -> str:
    own = graph.add("Gather", ["norms", _ints(graph, number)], axis=0)
    scale, offset = (graph.add("Gather", [own, _ints(graph, place)], axis=0) for place in (0, 1))
    return graph.add("LayerNormalization", [inputs, scale, offset], axis=-1, epsilon=1e-5)


def _unit(graph: Graph, vectors: str) -> str:
    length = graph.add("ReduceL2", [vectors], axes=[-1], keepdims=1)
    return graph.add("Div", [vectors, graph.add("Max", [length, _floats(graph, 1e-12)])])


def _split(graph: Graph, actions: str, shape: tuple[int, ...], order: list[int]) -> str:
    return graph.add("Transpose", [graph.add("Reshape", [actions, _ints(graph, list(shape))])], perm=order)


def _ints(graph: Graph, values: int | list[int]) -> str:
    # The name is made of the value, so equal constants are one.
    name = f"int_{str(values).strip('[]').replace(', ', '_').replace('-', 'm')}_{np.ndim(values)}"
    graph.constants[name] = np.array(values, dtype=np.int64)
    return name


def _floats(graph: Graph, value: float) -> str:
    name = f"float_{value:g}"
    graph.constants[name] = np.array(value, dtype=np.float32)
    return name


def _model(graph: Graph, weights: SequenceWeights) -> onnx.ModelProto:
    dim, width = len(weights.project), len(weights.enter_bias)
    # The names of the constants and of the inputs differ: a graph has one namespace.
    inputs = [
        helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", RECENT, dim]),
        helper.make_tensor_value_info("action_places", TensorProto.INT64, ["n", RECENT]),
        helper.make_tensor_value_info("gap_places", TensorProto.INT64, ["n", RECENT]),
        helper.make_tensor_value_info("pause_places", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT64, ["n"]),
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 1 + RECENT, width])
    constants = [numpy_helper.from_array(each, name) for name, each in graph.constants.items()]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "sequence", inputs, [output], constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="intentstream",
    )
    onnx.checker.check_model(model)
    return model
