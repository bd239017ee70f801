"""Types of the arrays that kernels share, as their signatures name them."""

from __future__ import annotations

from numba import boolean, float32, float64, from_dtype, int8, int32, types, uint64

from inference.queries import QUERY
from inference.retrieval.columns import Columns
from inference.retrieval.hits import Hits

QUERIES = from_dtype(QUERY)[::1]
COLUMNS = types.NamedTuple(
    (
        int8[:, ::1],
        float32[::1],
        uint64[::1],
        uint64[::1],
        uint64[::1],
        float32[::1],
        float32[::1],
        float32[::1],
        float64[::1],
        boolean[::1],
        boolean[::1],
    ),
    Columns,
)
HITS = types.NamedTuple((int32[:, :, ::1], float32[:, :, ::1], int32[:, ::1]), Hits)
