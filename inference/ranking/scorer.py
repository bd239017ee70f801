"""The ranker: maps features of candidates to probabilities, by its ONNX graph or by the compiled network in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from inference.errors import ScoringError

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
        if not np.isfinite(scores).all():
            raise ScoringError(f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite")
        return scores
