"""Retrieval results of a batch of queries: catalogue rows in a deterministic order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.types import Vector


class Hits(NamedTuple):
    """What each source found: source s of query i found `rows[i, s, :counts[i, s]]`, best first, ties by stable key.

    Attributes:
        rows: rows of the catalogue, int32 (queries, sources, limit).
        scores: float32 (queries, sources, limit).
        counts: int32 (queries, sources).
    """

    rows: npt.NDArray[np.int32]
    scores: Vector
    counts: npt.NDArray[np.int32]
