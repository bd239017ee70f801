"""Ranks of targets by the votes of sessions, and what they lose without a session (leave-one-out).

`session_kernels.py` has the lists and their neighbours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float64, int32, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import KeyTable, find
from inference.kernels.newest import key_of
from inference.kernels.session_knn import REACH, Rows, add_votes, sort_by_key
from inference.kernels.session_table import SessionTable
from inference.kernels.votes import UNTOUCHED, Votes, add_vote
from training.value.session_kernels import (
    INDEX,
    QUERIES,
    SPAN,
    Floats,
    Index,
    Queries,
    Span,
    neighbours_of,
    sort_best_first,
)

TIE = 1e-12
"""Sums that differ by less, relative to the target's, are equal: subtraction leaves rounding errors."""


@helper
def in_session(votes: Votes, count: int, item: int) -> bool:
    """Return whether an item is one of the `count` items of the list's session."""
    found = False
    for at in range(count):
        found |= votes.session[at]["item"] == item
    return found


@helper
def best_rank(numbers: KeyTable, votes: Votes, touched: int, queries: Queries, query: int) -> int:
    """Return the rank of a list's best target by its votes, from 1 on; 0 if none has votes.

    Items of the session have no rank. Of equal sums, the one with the lower key is first.
    """
    best, count = 0, queries.lengths[query]
    for target in range(queries.starts[query], queries.starts[query + 1]):
        key = queries.targets[target]
        item = find(numbers, key)
        if item < 0 or votes.sums[item] <= TIE or in_session(votes, count, item):
            continue
        rank, total = 1, votes.sums[item]
        for at in range(touched):
            other = votes.touched[at]
            more = votes.sums[other] - total
            is_before = more > TIE * total or (abs(more) <= TIE * total and numbers.entries[other]["key"] < key)
            rank += is_before and not in_session(votes, count, other)
        best = rank if best == 0 else min(best, rank)
    return best


@kernel(void(INDEX, QUERIES, SPAN, int32[::1]), allocates=False)
def rank_targets(index: Index, queries: Queries, span: Span, ranks: npt.NDArray[np.int32]) -> None:
    """Write the rank of the best target of some lists by the votes of sessions, from 1 on; 0 if none has a vote.

    The arguments are those of `add_values`; the index has room for the neighbours that vote.
    """
    numbers, sessions, scratch, votes = index
    for query in range(span.first, span.last):
        size = neighbours_of(index, queries, query)
        sort_by_key(scratch.near, size)
        touched = add_votes(sessions, scratch.near, size, votes)
        ranks[query] = best_rank(numbers, votes, touched, queries, query)
        for at in range(touched):
            votes.sums[votes.touched[at]] = UNTOUCHED


@helper
def change(sessions: SessionTable, near: Rows, place: int, sign: float, votes: Votes) -> None:
    """Add a neighbour's vote, times `sign`, to the sums of its items, without the division by all similarity.

    A sum never becomes negative, which would mean untouched.
    """
    slot, shared, similarity = near[place]["slot"], near[place]["shared"], near[place]["similarity"]
    nearest = 0
    while sessions.items[slot, nearest] != shared:
        nearest += 1
    for at in range(sessions.lengths[slot]):
        item = sessions.items[slot, at]
        votes.sums[item] = max(votes.sums[item] + sign * similarity / (1 + abs(at - nearest) / REACH), 0.0)


@helper
def reciprocal(rank: int, longest: int) -> float:
    """Return 1 / rank, 0 without a rank and beyond the rank `longest`."""
    return 1.0 / rank if 0 < rank <= longest else 0.0


@kernel(void(INDEX, QUERIES, SPAN, float64[::1]), allocates=False)
def add_leave_one_out(index: Index, queries: Queries, span: Span, values: Floats) -> None:
    """Add to `values` (sessions,) what the reciprocal rank of some lists loses without each session.

    A session that is left out gives its place to the next most similar one. The sample of the newest sessions stays as
    it is. The other arguments are those of `add_values`.
    """
    numbers, sessions, scratch, votes = index
    near, neighbours, longest = scratch.near, span.neighbours, span.longest
    for query in range(span.first, span.last):
        size = neighbours_of(index, queries, query)
        sort_best_first(near, size)
        voting = min(size, neighbours)
        # The first one that does not vote moves up if another one is left out.
        is_crowded = size > neighbours
        touched = 0
        # All items that can get a vote are touched first, with 0. From then on, votes are only added and taken away.
        for place in range(voting + is_crowded):
            slot = near[place]["slot"]
            for at in range(sessions.lengths[slot]):
                touched = add_vote(votes, touched, sessions.items[slot, at], 0.0)
        for place in range(voting):
            change(sessions, near, place, 1.0, votes)
        whole = reciprocal(best_rank(numbers, votes, touched, queries, query), longest)
        for place in range(voting):
            change(sessions, near, place, -1.0, votes)
            if is_crowded:
                change(sessions, near, neighbours, 1.0, votes)
            left = reciprocal(best_rank(numbers, votes, touched, queries, query), longest)
            values[np.int64(key_of(sessions.newest, near[place]["slot"]))] += whole - left
            if is_crowded:
                change(sessions, near, neighbours, -1.0, votes)
            change(sessions, near, place, 1.0, votes)
        for at in range(touched):
            votes.sums[votes.touched[at]] = UNTOUCHED
