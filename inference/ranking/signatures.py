"""What kernels of ranking take: the numba types of a batch's arrays."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import boolean, float32, float64, int8, int32, int64, uint64

from inference.queries import QUERY, Queries, QueryBatch
from inference.retrieval.columns import Columns
from inference.retrieval.shortlists import Candidates
from inference.types import Vector


class QueryArrays(NamedTuple):
    """The arrays of a `QueryBatch` that kernels read."""

    records: Queries
    vectors: npt.NDArray[np.int8]
    inverse_norms: Vector

    @classmethod
    def of(cls, batch: QueryBatch) -> QueryArrays:
        """Return those of a batch."""
        return cls(batch.records, batch.vectors, batch.inverse_norms)


RECORDS = numba.from_dtype(QUERY)[::1]
QUERIES = NamedTupleType((RECORDS, int8[:, :, ::1], float32[:, ::1]), QueryArrays)
CANDIDATES = NamedTupleType((int64[::1], int32[::1], float32[::1], float32[:, ::1], float32[:, ::1]), Candidates)
_COLUMN = {
    "vectors": int8[:, ::1],
    "inverse_norms": float32[::1],
    "keys": uint64[::1],
    "categories": uint64[::1],
    "brands": uint64[::1],
    "prices": float32[::1],
    "popularity": float32[::1],
    "lasting": float32[::1],
    "released": float64[::1],
    "seen": boolean[::1],
    "available": boolean[::1],
}
COLUMNS = NamedTupleType(tuple(_COLUMN[name] for name in Columns._fields), Columns)
