"""Numba types of a batch's arrays, for the signatures of the kernels of ranking."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import float32, int8, int32, int64

from inference.kernels.layouts import COLUMNS
from inference.kernels.layouts import QUERIES as RECORDS
from inference.queries import Queries, QueryBatch
from inference.retrieval.shortlists import Candidates
from inference.types import Vector

__all__ = ["CANDIDATES", "COLUMNS", "QUERIES", "RECORDS", "QueryArrays"]


class QueryArrays(NamedTuple):
    """The arrays of a `QueryBatch` that kernels read."""

    records: Queries
    vectors: npt.NDArray[np.int8]
    inverse_norms: Vector

    @classmethod
    def of(cls, batch: QueryBatch) -> QueryArrays:
        """Return the arrays of a batch."""
        return cls(batch.records, batch.vectors, batch.inverse_norms)


QUERIES = NamedTupleType((RECORDS, int8[:, :, ::1], float32[:, ::1]), QueryArrays)
CANDIDATES = NamedTupleType((int64[::1], int32[::1], float32[::1], float32[:, ::1], float32[:, ::1]), Candidates)
