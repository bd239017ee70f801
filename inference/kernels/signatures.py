"""Numba types of the arrays that several kernels take, for their signatures."""

from __future__ import annotations

from numba import boolean, float32, float64, from_dtype, int8, int32, int64, types, uint8, uint64

from inference.queries import QUERY
from inference.retrieval.columns import Columns
from inference.retrieval.shortlists import Candidates, Hits

QUERIES = from_dtype(QUERY)[::1]
_COLUMN = {
    "vectors": int8[:, ::1],
    "blocks": uint8[:, :, :, ::1],
    "inverse_norms": float32[::1],
    "keys": uint64[::1],
    "categories": uint64[::1],
    "brands": uint64[::1],
    "titles": uint64[::1],
    "prices": float32[::1],
    "popularity": float32[::1],
    "lasting": float32[::1],
    "released": float64[::1],
    "seen": boolean[::1],
    "available": boolean[::1],
}
COLUMNS = types.NamedTuple(tuple(_COLUMN[name] for name in Columns._fields), Columns)
HITS = types.NamedTuple((int32[:, :, ::1], float32[:, :, ::1], int32[:, ::1]), Hits)
CANDIDATES = types.NamedTuple((int64[::1], int32[::1], float32[::1], float32[:, ::1], float32[:, ::1]), Candidates)
