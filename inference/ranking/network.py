"""The ranker's network on the CPU: the weights of its ONNX graph in a compiled loop.

σ(x · direct + offset + relu(x · hidden + bias) · output), as `inference.learning.network.to_onnx` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import float32, void

from inference.errors import ScoringError
from inference.kernels.compiler import kernel
from inference.types import Vector

_LINEAR = [("Gemm", ("features", "direct", "offset"), "linear")]
_HIDDEN = [
    ("Gemm", ("features", "hidden", "bias"), "units"),
    ("Relu", ("units",), "active"),
    ("Gemm", ("active", "output", "linear"), "logit"),
]


class Weights(NamedTuple):
    """The numbers of a network of F features and H hidden units, float32.

    Attributes:
        direct: the linear part, (F,).
        offset: of the logit, (1,).
        hidden: into the hidden layer, (F, H).
        bias: of the hidden layer, (H,).
        output: out of the hidden layer, (H,).
    """

    direct: Vector
    offset: Vector
    hidden: Vector
    bias: Vector
    output: Vector


class CompiledNetwork:
    """Computes what the graph of a ranker does. Each candidate's score has the same bits in any batch."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def run(self, inputs: Mapping[str, Vector]) -> Vector:
        """Return the scores (n,) of `inputs["features"]`, float32 (n, F). Raises ScoringError."""
        features, required = inputs["features"], len(self.weights.direct)
        if features.ndim != 2 or features.shape[1] != required:
            raise ScoringError(f"the ranker network needs features of shape (n, {required}), it got {features.shape}")
        if not features.flags.writeable:
            features = features.copy()  # a kernel's signature names writeable arrays
        scores = np.empty(len(features), dtype=np.float32)
        _score(features, *self.weights, scores)
        return scores


def read_weights(model: bytes) -> Weights | None:
    """Return the weights in a serialised ONNX graph, None where it is not a network of this shape."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(model).graph
    nodes = [(node.op_type, tuple(node.input), *node.output) for node in graph.node]
    has_hidden = len(nodes) > len(_LINEAR) + 2
    logit = "logit" if has_hidden else "linear"
    required = [
        *_LINEAR,
        *(_HIDDEN if has_hidden else ()),
        ("Sigmoid", (logit,), "probability"),
        ("Squeeze", ("probability", "columns"), "score"),
    ]
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    if nodes != required or any(node.attribute or node.domain for node in graph.node) or "direct" not in constants:
        return None
    columns, features = constants.pop("columns", None), len(constants["direct"])
    if columns is None or columns.tolist() != [1]:
        return None
    if not has_hidden:
        nothing = np.empty(0, dtype=np.float32)
        constants |= {"hidden": nothing.reshape(features, 0), "bias": nothing, "output": nothing.reshape(0, 1)}
    units = len(constants.get("bias", ()))
    shapes = {"direct": (features, 1), "offset": (1,), "hidden": (features, units), "bias": (units,), "output": (units, 1)}
    if {name: each.shape for name, each in constants.items()} != shapes:
        return None
    if any(each.dtype != np.float32 for each in constants.values()):
        return None
    return Weights(**{name: _writeable(constants[name], name) for name in Weights._fields})


def _writeable(constant: npt.NDArray[np.float32], name: str) -> Vector:
    return np.array(constant if name == "hidden" else constant.ravel(), dtype=np.float32, order="C")


@kernel(void(float32[:, ::1], float32[::1], float32[::1], float32[:, ::1], float32[::1], float32[::1], float32[::1]))
def _score(
    features: Vector, direct: Vector, offset: Vector, hidden: Vector, bias: Vector, output: Vector, scores: Vector
) -> None:
    """Write the score of each of `features` (n, F) to `scores` (n,).

    The inner loops go over the hidden units, each with a sum of its own: they are compiled to vector instructions
    although the order of additions is fixed.
    """
    width, units = len(direct), len(bias)
    sums = np.empty(units, dtype=np.float32)
    columns, values = np.zeros(width + 4, dtype=np.int64), np.zeros(width + 4, dtype=np.float32)
    for row in range(len(features)):
        # Most features of a candidate are 0 and add nothing: the others are gathered, without a branch.
        count = 0
        for column in range(width):
            value = features[row, column]
            columns[count], values[count] = column, value
            count += value != 0
        for at in range(count, count + 4):
            values[at] = 0
        logit = offset[0]
        for unit in range(units):
            sums[unit] = bias[unit]
        # Four features in one go: each unit's sum is loaded and stored once for the four.
        for at in range(0, count, 4):
            i, j, k, m = columns[at], columns[at + 1], columns[at + 2], columns[at + 3]
            a, b, c, d = values[at], values[at + 1], values[at + 2], values[at + 3]
            logit += (a * direct[i] + b * direct[j]) + (c * direct[k] + d * direct[m])
            for unit in range(units):
                sums[unit] += (a * hidden[i, unit] + b * hidden[j, unit]) + (c * hidden[k, unit] + d * hidden[m, unit])
        for unit in range(units):
            sums[unit] = max(sums[unit], np.float32(0)) * output[unit]
        # The sum over the units by halves.
        left = units
        while left > 1:
            half = (left + 1) // 2
            for unit in range(left - half):
                sums[unit] += sums[half + unit]
            left = half
        if units > 0:
            logit += sums[0]
        scores[row] = logit
    for row in range(len(features)):
        # σ(−x) = 1 − σ(x): the exponential of a negative number cannot overflow.
        grown = np.exp(-abs(scores[row]))
        scores[row] = (np.float32(1) if scores[row] >= 0 else grown) / (np.float32(1) + grown)
