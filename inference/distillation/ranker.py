"""The ranker: a logistic regression over named features, fitted to labelled lists, and its ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy.optimize import minimize

from inference.distillation.examples import Examples
from inference.errors import BundleError
from inference.evaluation import quality
from inference.ranking.features import EITHER_SIGN, FEATURES

FEATURES_KEY = "features"
"""The key under which the graph's metadata keep the names of its columns, comma-separated."""

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RankerWeights:
    """σ(weights · (features − mean) / std + bias), arrays of shape (F,)."""

    names: tuple[str, ...]
    mean: Floats
    std: Floats
    weights: Floats
    bias: float

    def logits(self, features: npt.NDArray[np.floating]) -> Floats:
        """Return weights · (features − mean) / std + bias, (n,)."""
        return np.asarray((features - self.mean) / self.std @ self.weights + self.bias)


def fit(examples: Examples, strength: float = 1.0) -> RankerWeights:
    """Fit the probability that a shopper acts on a candidate.

    Weighted logistic regression with an L2 penalty on the standardised weights, by L-BFGS-B: the weights of features
    of which more never speaks against an item stay at 0 or above (`EITHER_SIGN` has the others). `strength` is the
    inverse of the penalty, scikit-learn's C. A column that never varies says nothing and gets the weight 0.
    """
    x = examples.features.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    varies = std > 1e-9
    std = np.where(varies, std, 1.0)
    bounds = [
        (None if name in EITHER_SIGN else 0.0, None) if does else (0.0, 0.0)
        for name, does in zip(examples.names, varies, strict=True)
    ]
    standardised = np.column_stack([(x - mean) / std, np.ones(len(x))])
    solution = _solve(standardised, examples.labels, examples.weights, strength, [*bounds, (None, None)])
    return RankerWeights(examples.names, mean, std, solution[:-1], float(solution[-1]))


def _solve(
    x: Floats,
    labels: npt.NDArray[np.integer],
    weights: npt.NDArray[np.floating],
    strength: float,
    bounds: Sequence[tuple[float | None, float | None]],
) -> Floats:
    """Minimise Σ weight · log-loss + ‖all but the last coefficient‖² / (2 · strength)."""

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        logits = x @ coefficients
        penalised = np.append(coefficients[:-1], 0.0)
        value = weights @ (np.logaddexp(0.0, logits) - labels * logits) + penalised @ penalised / (2 * strength)
        slope = x.T @ (weights * (0.5 * (1 + np.tanh(logits / 2)) - labels)) + penalised / strength
        # Means rather than sums: the solver's tolerances are absolute.
        return float(value / weights.sum()), slope / weights.sum()

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-8})
    if not found.success:
        raise BundleError(f"the fit of the ranker must converge, it ended with: {found.message}")
    return np.asarray(found.x)


def choose_strength(learn: Examples, check: Examples, strengths: Sequence[float] = STRENGTHS) -> float:
    """Return the strength whose fit to `learn` ranks the later lists in `check` best, by NDCG@20; ties go to the less.

    What gains less than a thousandth is chance: the smaller weights are then the better ones.
    """
    found = [quality(fit(learn, each).logits(check.features), *check.truth).ndcg for each in sorted(strengths)]
    return next(each for each, ndcg in zip(sorted(strengths), found, strict=True) if ndcg >= max(found) - 1e-3)


def unfitted() -> RankerWeights:
    """Return the ranker that knows nothing: every candidate is as likely as not."""
    zeros = np.zeros(len(FEATURES))
    return RankerWeights(FEATURES, zeros, np.ones(len(FEATURES)), zeros, 0.0)


def feature_names(ranker: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of a graph's columns, in order."""
    return tuple({each.key: each.value for each in ranker.metadata_props}[FEATURES_KEY].split(","))


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
