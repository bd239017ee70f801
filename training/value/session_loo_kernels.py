"""Leave-one-out values of sessions: the reciprocal rank of the next item with each voting session minus without it."""

from __future__ import annotations

import numpy as np
from numba import float64, int64, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import KEY_TABLE, KeyTable, find
from inference.kernels.newest import key_of
from inference.kernels.session_knn import REACH, SCRATCH, Rows, Scratch
from inference.kernels.session_table import SESSIONS, SessionTable
from inference.kernels.votes import UNTOUCHED, VOTES, Votes, add_vote
from training.value.session_kernels import (
    QUERIES,
    Floats,
    Integers,
    Queries,
    neighbours_of,
    sort_best_first,
)

TIE = 1e-12
"""Sums that differ by less, relative to the target's, are equal: subtraction leaves rounding errors."""


@helper
def touch(sessions: SessionTable, slot: int, votes: Votes, touched: int) -> int:
    """Give all items of a session a sum; return how many items have one."""
    for at in range(sessions.lengths[slot]):
        touched = add_vote(votes, touched, sessions.items[slot, at], 0.0)
    return touched


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
def reciprocal_rank(numbers: KeyTable, votes: Votes, touched: int, queries: Queries, query: int, longest: int) -> float:
    """Return 1 / rank of a list's best target, 0 beyond the rank `longest`. Items of the session have no rank."""
    best = 0.0
    for target in range(queries.starts[query], queries.starts[query + 1]):
        item = find(numbers, queries.targets[target])
        if item < 0 or votes.sums[item] <= TIE:
            continue
        rank, key, total = 1, queries.targets[target], votes.sums[item]
        for at in range(touched):
            other = votes.touched[at]
            if other == item:
                continue
            more = votes.sums[other] - total
            if more > TIE * total or (abs(more) <= TIE * total and numbers.entries[other]["key"] < key):
                is_own = False
                for own in range(queries.lengths[query]):
                    is_own |= votes.session[own]["item"] == other
                rank += not is_own
        if rank <= longest:
            best = max(best, 1.0 / rank)
    return best


@kernel(void(KEY_TABLE, SESSIONS, SCRATCH, VOTES, QUERIES, int64[::1], float64[::1]), allocates=False)
def add_leave_one_out(
    numbers: KeyTable, sessions: SessionTable, scratch: Scratch, votes: Votes, queries: Queries, bounds: Integers,
    values: Floats,
) -> None:  # fmt: skip
    """Add to `values` (sessions,) what the reciprocal rank of some lists loses without each session.

    A session that is left out gives its place to the next most similar one. The sample of the newest sessions stays as
    it is. The arguments are those of `add_values`; `bounds` ends with the number that vote and the length of a list.
    """
    near, neighbours, longest = scratch.near, bounds[2], bounds[3]
    for query in range(bounds[0], bounds[1]):
        size = neighbours_of(numbers, sessions, scratch, votes, queries, query)
        sort_best_first(near, size)
        voting = min(size, neighbours)
        # The first one that does not vote moves up if another one is left out.
        is_crowded = size > neighbours
        touched = 0
        for place in range(voting + is_crowded):
            touched = touch(sessions, near[place]["slot"], votes, touched)
        for place in range(voting):
            change(sessions, near, place, 1.0, votes)
        whole = reciprocal_rank(numbers, votes, touched, queries, query, longest)
        for place in range(voting):
            change(sessions, near, place, -1.0, votes)
            if is_crowded:
                change(sessions, near, neighbours, 1.0, votes)
            rank = reciprocal_rank(numbers, votes, touched, queries, query, longest)
            values[np.int64(key_of(sessions.newest, near[place]["slot"]))] += whole - rank
            if is_crowded:
                change(sessions, near, neighbours, -1.0, votes)
            change(sessions, near, place, 1.0, votes)
        for at in range(touched):
            votes.sums[votes.touched[at]] = UNTOUCHED
