"""The ranker: maps features of candidates to probabilities, by its ONNX graph or by the compiled network in it.

The compiled network has the weights of the graph and computes on the CPU, as `training.ranker.network.to_onnx`
writes it, σ(x · direct + offset + relu(x · hidden + bias) · output).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import float32, float64, int32, void

from inference.errors import ScoringError
from inference.kernels.compiler import helper, kernel
from inference.types import Vector

TILE = 256
"""Number of candidates in a tile: their features fit into the cache of a core."""

BITS = 18
"""Significant bits of a score from a graph that is not compiled: of 24, so that rounding errors rarely matter."""

_LINEAR = [("Gemm", ("features", "direct", "offset"), "linear")]
_HIDDEN = [
    ("Gemm", ("features", "hidden", "bias"), "units"),
    ("Relu", ("units",), "active"),
    ("Gemm", ("active", "output", "linear"), "logit"),
]

Scores = npt.NDArray[np.float32]


class Graph(Protocol):
    """An open graph: a session of ONNX Runtime, or an equivalent."""

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """Return the output for arrays by the names of the inputs. Raises ScoringError."""
        ...


class Scorer:
    """The function of the bundle's ranker graph, such as σ(W · features + b): `features` (n, F) -> `score` (n,)."""

    def __init__(self, graph: Graph, features: tuple[str, ...]) -> None:
        """Take an open graph and the names of its F input columns, in order."""
        self.features = features
        self._graph = graph
        self._is_exact = isinstance(graph, CompiledNetwork)

    def taking(self, features: tuple[str, ...]) -> Scorer:
        """Return the same function of wider rows, whose columns have these names: it reads its own of them.

        So a ranker that was fitted before a feature existed keeps serving.
        """
        if features == self.features:
            return self
        columns = np.array([features.index(name) for name in self.features], dtype=np.int32)
        if isinstance(self._graph, CompiledNetwork):
            return Scorer(CompiledNetwork(self._graph.weights, columns, len(features)), features)
        return Scorer(_Picked(self._graph, columns), features)

    def score(self, features: npt.NDArray[np.float32]) -> Scores:
        """Return a probability for each row of `features`, float32 (n, F) in the order of `self.features`.

        Raises:
            ScoringError: the width is wrong, the graph failed, or a score is not a finite number.
        """
        if features.ndim != 2 or features.shape[1] != len(self.features):
            raise ScoringError(
                f"the ranker: required features of shape (n, {len(self.features)}): {', '.join(self.features)}; "
                f"got {features.shape}"
            )
        if len(features) == 0:
            return np.empty(0, dtype=np.float32)
        scores = self._graph.run({"features": np.ascontiguousarray(features, dtype=np.float32)})
        if scores.shape != (len(features),):
            raise ScoringError(f"the ranker: required {len(features)} scores, got an array of shape {scores.shape}")
        if not self._is_exact:
            scores = _rounded(scores)
        if not np.isfinite(scores).all():
            raise ScoringError(f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite")
        return scores


def _rounded(scores: Scores) -> Scores:
    """Return the scores with BITS significant bits: the last ones of a runtime's result differ from batch to batch."""
    mantissas, exponents = np.frexp(scores)
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissas, BITS)), exponents - BITS), dtype=np.float32)


class _Picked:
    """A graph that is given some columns of the features."""

    def __init__(self, graph: Graph, columns: npt.NDArray[np.int32]) -> None:
        self._graph = graph
        self._columns = columns

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Scores:
        return self._graph.run({"features": np.ascontiguousarray(inputs["features"][:, self._columns])})


class Weights(NamedTuple):
    """The weights of a network of F features and H hidden units, float32.

    Attributes:
        direct: the linear part, (F,).
        offset: the offset of the logit, (1,).
        hidden: the weights into the hidden layer, a row for each unit, (H, F).
        bias: the bias of the hidden layer, (H,).
        output: the weights out of the hidden layer, (H,).
    """

    direct: Vector
    offset: Vector
    hidden: Vector
    bias: Vector
    output: Vector


class CompiledNetwork:
    """A compiled replacement for the graph of a ranker. Each candidate's score has the same bits in any batch."""

    def __init__(
        self, weights: Weights, columns: npt.NDArray[np.int32] | None = None, width: int | None = None
    ) -> None:
        """Take the weights, and the columns that they are for among `width`; by default all, in order."""
        number = len(weights.direct)
        self.weights = weights
        self._width = number if width is None else width
        # Features without any weight, such as those of sources that the bundle lacks, are not read.
        (read,) = ((weights.direct != 0) | (weights.hidden != 0).any(axis=0)).nonzero()
        self._columns = (np.arange(number, dtype=np.int32) if columns is None else columns)[read]
        self._weights_read = weights._replace(
            direct=weights.direct[read], hidden=np.ascontiguousarray(weights.hidden[:, read])
        )

    def run(self, inputs: Mapping[str, Vector]) -> Vector:
        """Return the scores (n,) of `inputs["features"]`, float32 (n, width). Raises ScoringError."""
        features, required = inputs["features"], self._width
        # numba does not check bounds: a narrower array would be read beyond its rows.
        if features.ndim != 2 or features.shape[1] != required:
            raise ScoringError(f"the ranker network: required features of shape (n, {required}), got {features.shape}")
        if not features.flags.writeable:
            features = features.copy()  # the kernel's signature requires writeable arrays
        scores = np.empty(len(features), dtype=np.float32)
        scratch = np.empty((len(self._columns) + 1, TILE), dtype=np.float32)
        _score(features, self._columns, self._weights_read, scratch, np.empty(TILE), scores)
        return scores


def read_weights(model: bytes) -> Weights | None:
    """Return the weights in a serialised ONNX graph, None if it is not a network of this form."""
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
    # Only a graph with exactly these nodes, constants and shapes is compiled. ONNX Runtime runs any other graph.
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
    shapes = {
        "direct": (features, 1),
        "offset": (1,),
        "hidden": (features, units),
        "bias": (units,),
        "output": (units, 1),
    }
    if {name: each.shape for name, each in constants.items()} != shapes:
        return None
    if any(each.dtype != np.float32 for each in constants.values()):
        return None
    # Copies, because the kernel's signature requires writeable arrays.
    flat = {name: _without_subnormals(constants[name]).flatten() for name in Weights._fields}
    return Weights(**{**flat, "hidden": _without_subnormals(constants["hidden"]).T.copy()})


def _without_subnormals(weights: Vector) -> Vector:
    """Return the weights with 0 in place of subnormal numbers: they change no score, and arithmetic with them is slow.

    The penalty of the fit shrinks the weights of a feature that never varies to such numbers.
    """
    return np.where(np.abs(weights) < np.finfo(np.float32).tiny, np.float32(0), weights)


_WEIGHTS = NamedTupleType((float32[::1], float32[::1], float32[:, ::1], float32[::1], float32[::1]), Weights)


@kernel(void(float32[:, ::1], int32[::1], _WEIGHTS, float32[:, ::1], float64[::1], float32[::1]), allocates=False)
def _score(
    features: Vector,
    columns: npt.NDArray[np.int32],
    weights: Weights,
    scratch: Vector,
    logits: npt.NDArray[np.float64],
    scores: Vector,
) -> None:
    """Write the score of each of `features` (n, width) to `scores` (n,), by its F `columns`.

    `scratch` is (F + 1, TILE), `logits` (TILE,).

    Candidates are scored a tile at a time, transposed to a row of `scratch` for each feature. So the innermost loops go
    over candidates, each with its own sum, and compile to vector instructions. The order of additions is fixed for each
    candidate, so a score does not depend on the batch.
    """
    width, units = len(columns), len(weights.bias)
    for start in range(0, len(features), TILE):
        end = min(start + TILE, len(features))
        sums, likely = scratch[width][: end - start], scores[start:end]
        for column in range(width):
            row = scratch[column]
            for place in range(end - start):
                row[place] = features[start + place, columns[column]]
        _add_products(scratch, weights.direct, weights.offset[0], sums)
        for place in range(len(sums)):
            # Logits are float64: sums of many units in float32 would lose the last digits, by which close candidates
            # differ.
            logits[place] = sums[place]
        for unit in range(units):
            _add_products(scratch, weights.hidden[unit], weights.bias[unit], sums)
            output = weights.output[unit]
            for place in range(len(sums)):
                logits[place] += max(sums[place], np.float32(0)) * output
        for place in range(len(sums)):
            # σ(−x) = 1 − σ(x): the exponential of a negative number cannot overflow.
            fallen = np.exp(np.float32(-abs(logits[place])))
            likely[place] = (np.float32(1) if logits[place] >= 0 else fallen) / (np.float32(1) + fallen)


@helper
def _add_products(rows: Vector, weights: Vector, offset: np.float32, sums: Vector) -> None:
    """Write Σ_f weights[f] · rows[f] + offset to `sums`.

    Eight features are added at a time, so that sums are loaded and stored less often.
    """
    for place in range(len(sums)):
        sums[place] = offset
    column = 0
    while column + 8 <= len(weights):
        _add_eight(sums, rows[column : column + 8], weights[column : column + 8])
        column += 8
    while column < len(weights):
        row, weight = rows[column], weights[column]
        for place in range(len(sums)):
            sums[place] += weight * row[place]
        column += 1


@helper
def _add_eight(sums: Vector, rows: Vector, weights: Vector) -> None:
    """Add the products of eight features, (8, n), to `sums` (n,), in a fixed order of additions."""
    a, b, c, d = weights[0], weights[1], weights[2], weights[3]
    e, f, g, h = weights[4], weights[5], weights[6], weights[7]
    one, two, three, four = rows[0], rows[1], rows[2], rows[3]
    five, six, seven, eight = rows[4], rows[5], rows[6], rows[7]
    for place in range(len(sums)):
        sums[place] += ((a * one[place] + b * two[place]) + (c * three[place] + d * four[place])) + (
            (e * five[place] + f * six[place]) + (g * seven[place] + h * eight[place])
        )
