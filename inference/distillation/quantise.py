"""8-bit weights and activations, with one activation scale for each token.

ONNX Runtime's own dynamic quantisation takes one scale for the whole batch: a text's vector then depends on the texts
beside it, and one outlier costs all rows their precision. Here every row of every activation is scaled by its own
greatest magnitude, and every column of every weight by its own: the result of a row depends on that row alone, and
is nearer to the float32 model at the same speed. exported_models/README.md has the measurements.

    y = (round(127 x / max|x|) · Wq) · (max|x| / 127) · s        Wq = round(W / s), one s for each column
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]

_LEVELS = 127
_CONSTANTS = {
    "q/levels": np.float32(_LEVELS),
    "q/tiny": np.float32(1e-9),
    "q/one": np.float32(1),
    "q/zero": np.uint8(_LEVELS + 1),
    "q/weight_zero": np.int8(0),
}


def quantise(model: onnx.ModelProto, table: str = "word_embeddings.weight") -> onnx.ModelProto:
    """Return a copy of `model` with its weight products in int8 and the embedding table `table` in int8 rows."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    rewrite = _Rewrite(result.graph)
    nodes = [new for node in result.graph.node for new in rewrite.node(node, table)]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    rewrite.finish()
    result.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.checker.check_model(result)
    return result


def column_scales(weights: Floats) -> Floats:
    """Return the step of each column of `weights`, (in, out) -> (out,).

    A column's greatest magnitude takes at most 127 steps, and so do any two weights that are added first: processors
    without VNNI add pairs of products in 16 bits and saturate above 255 · 128, silently. So every x86 gives one result.
    """
    pairs = np.pad(weights, ((0, len(weights) % 2), (0, 0))).reshape(-1, 2, weights.shape[1])
    up = np.maximum(pairs, 0).sum(axis=1).max(axis=0)
    down = np.maximum(-pairs, 0).sum(axis=1).max(axis=0)
    steps: Floats = np.maximum(np.maximum(up, down) / _LEVELS, 1e-12).astype(np.float32)
    return steps


class _Rewrite:
    """Rewrites a graph node by node; collects the new constants, and the float weights that fall away."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._weights = {each.name: each for each in graph.initializer}
        self._replaced: set[str] = set()
        self._scaled: set[str] = set()
        for name, value in _CONSTANTS.items():
            self._constant(name, np.asarray(value))

    def node(self, node: onnx.NodeProto, table: str) -> Iterable[onnx.NodeProto]:
        """Return the nodes that stand for `node`."""
        weight = self._weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is not None and len(weight.dims) == 2:
            return [*self._scale_rows(node.input[0]), *self._product(node, numpy_helper.to_array(weight))]
        if node.op_type == "Gather" and node.input[0].endswith(table):
            return self._lookup(node)
        return [node]

    def finish(self) -> None:
        """Drop the float weights that are no longer used."""
        kept = [each for each in self._graph.initializer if each.name not in self._replaced]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _scale_rows(self, x: str) -> list[onnx.NodeProto]:
        # Query, key and value read the same activations: they are rounded once.
        if x in self._scaled:
            return []
        self._scaled.add(x)
        return [
            helper.make_node("Abs", [x], [f"{x}/q/abs"]),
            helper.make_node("ReduceMax", [f"{x}/q/abs"], [f"{x}/q/max"], axes=[-1], keepdims=1),
            helper.make_node("Max", [f"{x}/q/max", "q/tiny"], [f"{x}/q/range"]),
            helper.make_node("Div", ["q/levels", f"{x}/q/range"], [f"{x}/q/factor"]),
            helper.make_node("Mul", [x, f"{x}/q/factor"], [f"{x}/q/scaled"]),
            helper.make_node("QuantizeLinear", [f"{x}/q/scaled", "q/one", "q/zero"], [f"{x}/q/u8"]),
            helper.make_node("Div", [f"{x}/q/range", "q/levels"], [f"{x}/q/step"]),
        ]

    def _product(self, node: onnx.NodeProto, weights: Floats) -> list[onnx.NodeProto]:
        x, name, y = node.input[0], node.input[1], node.output[0]
        scales = column_scales(weights)
        self._replace(name, np.rint(weights / scales).astype(np.int8), scales)
        inputs = [f"{x}/q/u8", f"{name}/i8", "q/one", f"{name}/step", "q/zero", "q/weight_zero"]
        return [
            helper.make_node("MatMulIntegerToFloat", inputs, [f"{y}/q"], domain="com.microsoft"),
            helper.make_node("Mul", [f"{y}/q", f"{x}/q/step"], [y]),
        ]

    def _lookup(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        name, ids, y = node.input[0], node.input[1], node.output[0]
        rows = numpy_helper.to_array(self._weights[name])
        steps = np.maximum(np.abs(rows).max(axis=1, keepdims=True) / _LEVELS, np.float32(1e-12))
        self._replace(name, np.rint(rows / steps).astype(np.int8), steps)
        return [
            helper.make_node("Gather", [f"{name}/i8", ids], [f"{y}/q/row"]),
            helper.make_node("Gather", [f"{name}/step", ids], [f"{y}/q/step"]),
            helper.make_node("Cast", [f"{y}/q/row"], [f"{y}/q/float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{y}/q/float", f"{y}/q/step"], [y]),
        ]

    def _replace(self, name: str, integers: npt.NDArray[np.int8], steps: Floats) -> None:
        self._replaced.add(name)
        self._constant(f"{name}/i8", integers)
        self._constant(f"{name}/step", steps.astype(np.float32))

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> None:
        self._graph.initializer.append(numpy_helper.from_array(value, name))
