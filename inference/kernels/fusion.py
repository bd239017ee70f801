"""Reciprocal rank fusion: merges the hits of all sources into one shortlist for each query of a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import float32, int32, int64, types, uint64

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import EMPTY, KEY_TABLE, KeyTable, find
from inference.kernels.selection import Rows, cut, write_in_order
from inference.kernels.signatures import HITS, QUERIES
from inference.queries import EARLIER, Queries
from inference.retrieval.shortlists import Hits
from inference.types import Keys, Vector

Starts = npt.NDArray[np.int64]

RRF_OFFSET = 60
"""Cormack, Clarke & Büttcher 2009, doi:10.1145/1571941.1572114: an item's fused score is Σ 1 / (60 + rank)."""
UNKNOWN, EXCLUDED = -1, -2
"""Values in place of a row's candidate: the row is no candidate so far, or the query excludes it."""

SLOTS = 1024
"""Places of the hash table of a query's earlier items, a power of two. Few are taken, so most probes end at once."""
assert SLOTS > 2 * EARLIER  # noqa: S101 - a probe ends at an empty place
_LAST_SLOT, _LOW_32_BITS = np.uint32(SLOTS - 1), np.uint64(2**32 - 1)
_NO_MARK, _NEXT = np.uint32(0), np.uint32(1)


class Exclusions(NamedTuple):
    """Stable keys of the items that queries must not list: those of query i are `keys[starts[i]:starts[i + 1]]`."""

    keys: Keys
    starts: Starts


_EXCLUSIONS = types.NamedTuple((uint64[::1], int64[::1]), Exclusions)
_OUTPUT = types.Tuple((int64[::1], int32[::1], float32[::1], float32[:, ::1], float32[:, ::1]))


@helper
def _insert(slots: npt.NDArray[np.uint32], mark: np.uint32) -> None:
    """Insert 32 bits into a hash table. 0 marks an empty place, so the bits 0 are not inserted."""
    slot = mark & _LAST_SLOT
    while slots[slot] != _NO_MARK and slots[slot] != mark:
        slot = (slot + _NEXT) & _LAST_SLOT
    slots[slot] = mark


@helper
def _contains(slots: npt.NDArray[np.uint32], mark: np.uint32) -> bool:
    """Return whether 32 bits are in a hash table."""
    slot = mark & _LAST_SLOT
    while slots[slot] != _NO_MARK:
        if slots[slot] == mark:
            return True
        slot = (slot + _NEXT) & _LAST_SLOT
    return False


@kernel(_OUTPUT(QUERIES, HITS, KEY_TABLE, uint64[::1], _EXCLUSIONS, int64[::1]))
def fuse(
    batch: Queries, hits: Hits, table: KeyTable, keys: Keys, exclusions: Exclusions, most: Starts
) -> tuple[Starts, Rows, Vector, Vector, Vector]:
    """Return the arrays of `shortlists.Candidates`: the `most[i]` best candidates of each query i.

    `keys` are the stable keys of all rows; `table` finds the row of a key. A query must not list its exclusions, nor
    one of its `earlier` items. Scores are added in the order of the sources, in 64 bits: a sum of so few 32-bit terms
    is exact.
    """
    queries, sources, limit = hits.rows.shape
    exclude, exclude_starts = exclusions
    # Upper bounds for the numbers of candidates: several sources may propose one item.
    bounds = np.empty(queries, dtype=np.int64)
    for query in range(queries):
        proposed = 0
        for source in range(sources):
            proposed += hits.counts[query, source]
        bounds[query] = proposed
    widest = 0
    total = 0
    for query in range(queries):
        widest = max(widest, bounds[query])
        total += min(bounds[query], most[query])
    starts = np.zeros(queries + 1, dtype=np.int64)
    rows = np.empty(total, dtype=np.int32)
    fused = np.empty(total, dtype=np.float32)
    scores = np.zeros((total, sources), dtype=np.float32)
    ranks = np.zeros((total, sources), dtype=np.float32)
    shares = np.empty(limit, dtype=np.float32)
    for rank in range(limit):
        shares[rank] = np.float32(1) / np.float32(RRF_OFFSET + rank + 1)
    # The candidate of each row of the catalogue. Each query resets only the rows that it touched.
    candidate_of = np.full(len(keys), UNKNOWN, dtype=np.int32)
    own_rows = np.empty(widest, dtype=np.int32)
    own_fused = np.empty(widest, dtype=np.float32)
    sums = np.empty(widest, dtype=np.float64)
    slots = np.zeros(SLOTS, dtype=np.uint32)
    for query in range(queries):
        earlier = batch[query]["earlier_length"]
        for place in range(earlier):
            _insert(slots, batch[query]["earlier"][place])
        for place in range(exclude_starts[query], exclude_starts[query + 1]):
            row = find(table, exclude[place])
            if row != EMPTY:
                candidate_of[row] = EXCLUDED
        size = 0
        for source in range(sources):
            for rank in range(hits.counts[query, source]):
                row = hits.rows[query, source, rank]
                candidate = candidate_of[row]
                if candidate == EXCLUDED:
                    continue
                if candidate == UNKNOWN:
                    # A record has only 32 bits of each earlier key. With 96 of them, about one catalogue item in 45
                    # million is left out by mistake.
                    if earlier > 0 and _contains(slots, np.uint32(keys[row] & _LOW_32_BITS)):
                        continue
                    candidate = size
                    candidate_of[row] = candidate
                    own_rows[candidate], sums[candidate] = row, 0.0
                    size += 1
                sums[candidate] += shares[rank]
        if earlier > 0:
            slots[:] = _NO_MARK
        for candidate in range(size):
            own_fused[candidate] = sums[candidate]
            candidate_of[own_rows[candidate]] = UNKNOWN
        count = min(size, most[query])
        if 0 < count < size:
            size, _ = cut(own_rows, own_fused, keys, size, count)
        start = starts[query]
        end = start + count
        starts[query + 1] = end
        write_in_order(own_rows, own_fused, keys, size, rows[start:end], fused[start:end])
        # The scores and ranks of the sources are collected in a second pass, for the candidates that stay.
        for candidate in range(start, end):
            candidate_of[rows[candidate]] = candidate
        for source in range(sources):
            for rank in range(hits.counts[query, source]):
                candidate = candidate_of[hits.rows[query, source, rank]]
                if candidate >= 0:
                    scores[candidate, source] = hits.scores[query, source, rank]
                    ranks[candidate, source] = np.float32(1) / np.float32(rank + 1)
        for candidate in range(start, end):
            candidate_of[rows[candidate]] = UNKNOWN
        for place in range(exclude_starts[query], exclude_starts[query + 1]):
            row = find(table, exclude[place])
            if row != EMPTY:
                candidate_of[row] = UNKNOWN
    used = starts[queries]
    return starts, rows[:used], fused[:used], scores[:used], ranks[:used]
