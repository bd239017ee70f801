"""The ranker: a logistic regression over named features, and its ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from inference.errors import BundleError

FEATURES_KEY = "features"
"""The key under which the graph's metadata keep the names of its columns, comma-separated."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RankerWeights:
    """σ(weights · (features − mean) / std + bias), arrays of shape (F,)."""

    names: tuple[str, ...]
    mean: Floats
    std: Floats
    weights: Floats
    bias: float


def fit(
    features: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], names: Sequence[str], strength: float = 1.0
) -> RankerWeights:
    """Fit features (n, F) to labels 0 or 1, (n,). `strength` is the inverse of the L2 penalty, scikit-learn's C.

    A column that never varies says nothing and gets the weight 0.

    Raises:
        BundleError: the shapes do not fit, a feature is not finite, or the labels are not both 0 and 1.
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if x.ndim != 2 or x.shape != (len(y), len(names)):
        raise BundleError(f"the ranker needs features ({len(y)}, {len(names)}) for its labels and names, not {x.shape}")
    if not np.isfinite(x).all():
        raise BundleError("the ranker needs finite features, some are not")
    if set(np.unique(y).tolist()) != {0, 1}:
        raise BundleError(f"the ranker needs labels 0 and 1, both, not {np.unique(y).tolist()[:10]}")
    mean, std = x.mean(axis=0), x.std(axis=0)
    varies = std > 1e-9
    std = np.where(varies, std, 1.0)
    model = LogisticRegression(C=strength, max_iter=1000).fit((x - mean) / std, y)
    return RankerWeights(tuple(names), mean, std, np.where(varies, model.coef_[0], 0.0), float(model.intercept_[0]))


def to_onnx(ranker: RankerWeights) -> onnx.ModelProto:
    """Return the graph `features` float32 (n, F) -> `score` float32 (n,), the standardisation folded into one Gemm."""
    slope = ranker.weights / ranker.std
    offset = ranker.bias - float(slope @ ranker.mean)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["features", "slope", "offset"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
            helper.make_node("Squeeze", ["probability", "columns"], ["score"]),
        ],
        "ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(slope)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])],
        [
            numpy_helper.from_array(slope.astype(np.float32).reshape(-1, 1), "slope"),
            numpy_helper.from_array(np.array([offset], dtype=np.float32), "offset"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "columns"),
        ],
    )
    # The versions that the oldest supported ONNX Runtime reads; the onnx package would write its newest.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {FEATURES_KEY: ",".join(ranker.names)})
    onnx.checker.check_model(model)
    return model
