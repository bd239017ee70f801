"""The ranker as arrays and as an ONNX graph: a small network over standardised features, calibrated to probabilities.

logit = x · direct + relu(x · hidden + bias) · output, over x = (features − mean) / std. The hidden layer is the
difference to a linear ranker. The score is σ(slope · logit + x · context + offset). The calibration uses only features
that are equal for a whole list, such as whether the shopper searches, so it never changes the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.ranking.features import FEATURES
from inference.types import Vector

FEATURES_KEY = "features"
"""The key of the graph's metadata for the names of its columns, comma-separated."""

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Network:
    """The learned weights over F standardised features and H hidden units.

    Attributes:
        direct: the linear part, (F,).
        hidden: the weights into the hidden layer, (F, H).
        bias: the bias of the hidden layer, (H,).
        output: the weights out of the hidden layer, (H,).
    """

    direct: Floats
    hidden: Floats
    bias: Floats
    output: Floats

    @classmethod
    def start(cls, features: int, units: int, seed: int | Sequence[int]) -> Network:
        """Return a network whose linear part is 0 and whose hidden units have random weights."""
        draw = np.random.default_rng(seed)
        scale = 1 / np.sqrt(max(features, 1))
        return cls(
            direct=np.zeros(features),
            hidden=draw.normal(0, scale, (features, units)),
            bias=np.zeros(units),
            output=draw.normal(0, 1 / np.sqrt(max(units, 1)), units),
        )

    @classmethod
    def mean(cls, networks: Sequence[Network]) -> Network:
        """Return the network whose logits are the mean of those of `networks`: it has all their hidden units."""
        return cls(
            direct=np.mean([each.direct for each in networks], axis=0),
            # A sum of networks is one network with the hidden units of all. Dividing the output weights by their number
            # makes it the mean.
            hidden=np.concatenate([each.hidden for each in networks], axis=1),
            bias=np.concatenate([each.bias for each in networks]),
            output=np.concatenate([each.output for each in networks]) / len(networks),
        )

    def logits(self, x: Floats) -> Floats:
        """Return the logits (n,) of standardised features (n, F)."""
        return np.asarray(x @ self.direct + np.maximum(x @ self.hidden + self.bias, 0.0) @ self.output)


@dataclass(frozen=True, slots=True)
class Calibration:
    """σ(slope · logit + x · context + offset); `context` (F,) is 0 except for features equal for a whole list."""

    slope: float
    context: Floats
    offset: float


@dataclass(frozen=True, slots=True)
class Ranker:
    """A network with its standardisation, arrays (F,), and its calibration."""

    names: tuple[str, ...]
    mean: Floats
    std: Floats
    network: Network
    calibration: Calibration

    def logits(self, features: npt.NDArray[np.floating]) -> Floats:
        """Return the logits (n,) of features (n, F), which define the order."""
        return self.network.logits((features - self.mean) / self.std)

    def score(self, features: Vector) -> Vector:
        """Return probabilities (n,), float32, of features (n, F), float32, as the ranker's graph does."""
        x = (features - self.mean) / self.std
        calibration = self.calibration
        logits = calibration.slope * self.network.logits(x) + x @ calibration.context + calibration.offset
        # σ by tanh, which does not overflow for large negative logits as exp(-logit) does.
        return np.asarray(0.5 * (1 + np.tanh(logits / 2)), dtype=np.float32)


def unfitted(names: tuple[str, ...] = FEATURES) -> Ranker:
    """Return a ranker that was not fitted: every candidate gets a probability of one half."""
    zeros = np.zeros(len(names))
    network = Network(zeros, np.zeros((len(names), 0)), np.zeros(0), np.zeros(0))
    return Ranker(names, zeros, np.ones(len(names)), network, Calibration(1.0, zeros, 0.0))


def feature_names(ranker: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of a graph's columns, in order."""
    return tuple({each.key: each.value for each in ranker.metadata_props}[FEATURES_KEY].split(","))


def to_onnx(ranker: Ranker) -> onnx.ModelProto:
    """Return the graph `features` float32 (n, F) -> `score` float32 (n,), standardisation and calibration folded in."""
    network, calibration, inverse = ranker.network, ranker.calibration, 1 / ranker.std
    # Standardisation becomes part of the weights: w · (x − mean) / std = (w / std) · x − mean · (w / std).
    direct = (calibration.slope * network.direct + calibration.context) * inverse
    hidden = network.hidden * inverse[:, None]
    constants = {
        "direct": direct[:, None],
        "offset": [calibration.offset - ranker.mean @ direct],
        "hidden": hidden,
        "bias": network.bias - ranker.mean @ hidden,
        "output": calibration.slope * network.output[:, None],
    }
    nodes = [helper.make_node("Gemm", ["features", "direct", "offset"], ["linear"])]
    logit = "linear"
    if len(network.output):
        logit = "logit"
        nodes += [
            helper.make_node("Gemm", ["features", "hidden", "bias"], ["units"]),
            helper.make_node("Relu", ["units"], ["active"]),
            helper.make_node("Gemm", ["active", "output", "linear"], ["logit"]),
        ]
    nodes += [
        helper.make_node("Sigmoid", [logit], ["probability"]),
        helper.make_node("Squeeze", ["probability", "columns"], ["score"]),
    ]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(ranker.names)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])],
        [
            *(
                numpy_helper.from_array(np.asarray(value, dtype=np.float32), name)
                for name, value in constants.items()
                if name in used
            ),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "columns"),
        ],
    )
    # The versions that the oldest supported ONNX Runtime reads. By default the onnx package writes its newest ones.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {FEATURES_KEY: ",".join(ranker.names)})
    onnx.checker.check_model(model)
    return model
