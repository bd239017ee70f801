"""KNN-Shapley and leave-one-out values of sessions, and ranks of targets by the votes of sessions.

A list is a game (Jia et al. 2019, doi:10.14778/3342263.3342637). The players are the sessions that the source finds
for it. The utility of some of them is the mean share of the targets that their K nearest hold:

    v(S) = 1 / min(K, |S|) · Σ h(n) over the min(K, |S|) nearest n of S,   v(∅) = 0

with h(n) = targets in n / targets. A session without a shared item is no player and has the value 0. For N players,
the nearest first, and with H(m) = 1 + 1/2 + … + 1/m, the Shapley values are (Wang & Jia 2023, arXiv:2304.04258):

    s(N) = (h(N) + (h(N) − mean of the other h) · (H(min(K, N)) − 1)) / N
    s(i) = s(i + 1) + (h(i) − h(i + 1)) / (N − 1) · (H(min(K, N − 1)) + max(min(K, i) · (N − 1) / i − K, 0) / K)

If N − 1 < K, the second sum is empty. The values of a list add up to v of all players.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import float64, int32, int64, types, uint64, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import KEY_TABLE, KeyTable, find
from inference.kernels.newest import key_of
from inference.kernels.session_knn import (
    REACH,
    SCRATCH,
    Rows,
    Scratch,
    add_votes,
    find_neighbours,
    is_worse,
    move,
    open_lists,
    sort_by_key,
)
from inference.kernels.session_table import SESSIONS, SessionTable
from inference.kernels.votes import UNTOUCHED, VOTES, Votes, add_vote
from inference.types import Keys

DAY_MS = 86_400_000
TIE = 1e-12
"""Sums that differ by less, relative to the target's, are equal: subtraction leaves rounding errors."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Queries(NamedTuple):
    """n lists: the session of each, and the items that the shopper acted on next.

    Attributes:
        items: stable keys of the session's items, newest first, uint64 (n, EVIDENCE).
        lengths: the number of them, int32 (n,).
        at_ms: time of the list, int64 (n,).
        starts: the start of each list's targets, int64 (n + 1,).
        targets: stable keys, uint64 (m,).
    """

    items: Keys
    lengths: npt.NDArray[np.int32]
    at_ms: Integers
    starts: Integers
    targets: Keys


class Tally(NamedTuple):
    """Sums over lists. The key of a session in the table is its number.

    Attributes:
        values: the sum of the Shapley values of each session, float64 (sessions,).
        uses: the number of lists for which it was found, int64 (sessions,).
        by_age: the sum of the Shapley values by the session's age in days, the last for all older ones, float64 (d,).
        uses_by_age: the number of sessions found, by age, int64 (d,).
    """

    values: Floats
    uses: Integers
    by_age: Floats
    uses_by_age: Integers


QUERIES = types.NamedTuple((uint64[:, ::1], int32[::1], int64[::1], int64[::1], uint64[::1]), Queries)
TALLY = types.NamedTuple((float64[::1], int64[::1], float64[::1], int64[::1]), Tally)


@helper
def shapley(hits: Floats, size: int, neighbours: int, out: Floats) -> None:
    """Write the Shapley values of `size` players, the nearest first, to `out`."""
    if size == 0:
        return
    farthest = hits[size - 1]
    if size == 1:
        out[0] = farthest
        return
    others = size - 1
    total = 0.0
    for place in range(others):
        total += hits[place]
    # H(min(K, N − 1)), and H(min(K, N)).
    harmonic = 0.0
    for place in range(1, min(neighbours, others) + 1):
        harmonic += 1.0 / place
    harmonic_all = harmonic + 1.0 / size if neighbours >= size else harmonic
    out[size - 1] = (farthest + (farthest - total / others) * (harmonic_all - 1.0)) / size
    for place in range(others - 1, -1, -1):
        rank = place + 1
        crowded = max(min(neighbours, rank) * others / rank - neighbours, 0.0) / neighbours
        out[place] = out[place + 1] + (hits[place] - hits[place + 1]) / others * (harmonic + crowded)


@helper
def sort_best_first(near: Rows, size: int) -> None:
    """Sort neighbours, the most similar first, of equal ones the newest (Shell's sort)."""
    spare = len(near) - 1
    gap = size // 2
    while gap > 0:
        for start in range(gap, size):
            place = start
            if is_worse(near[place - gap], near[start]):
                move(near, spare, start)
                while place >= gap and is_worse(near[place - gap], near[spare]):
                    move(near, place, place - gap)
                    place -= gap
                move(near, place, spare)
        gap //= 2


@helper
def neighbours_of(
    numbers: KeyTable, sessions: SessionTable, scratch: Scratch, votes: Votes, queries: Queries, query: int
) -> int:
    """Write the neighbours of a list's session to the scratch memory, and return how many."""
    count = queries.lengths[query]
    for at in range(count):
        key = queries.items[query, at]
        votes.session[at]["key"], votes.session[at]["item"] = key, find(numbers, key)
    return find_neighbours(sessions, open_lists(sessions, votes.session, count, scratch.cursors), scratch)


@helper
def held_share(numbers: KeyTable, sessions: SessionTable, slot: int, queries: Queries, query: int) -> float:
    """Return the share of a list's targets that a session holds."""
    start, end, held = queries.starts[query], queries.starts[query + 1], 0
    for target in range(start, end):
        item = find(numbers, queries.targets[target])
        for at in range(sessions.lengths[slot]):
            if item >= 0 and sessions.items[slot, at] == item:
                held += 1
    return float(held / (end - start))


@kernel(void(KEY_TABLE, SESSIONS, SCRATCH, VOTES, QUERIES, int64[::1], float64[:, ::1], TALLY), allocates=False)
def add_values(
    numbers: KeyTable, sessions: SessionTable, scratch: Scratch, votes: Votes, queries: Queries, bounds: Integers,
    work: Floats, tally: Tally,
) -> None:  # fmt: skip
    """Add the Shapley values of some lists to `tally`.

    Args:
        numbers: the numbers of items.
        sessions: the table as of the time of these lists.
        scratch: with room for as many neighbours as are sampled.
        votes: scratch memory.
        queries: the lists.
        bounds: the first list, the one after the last, and K.
        work: scratch memory (2, sampled).
        tally: receives the sums.
    """
    near, newest, hits, values = scratch.near, sessions.newest, work[0], work[1]
    for query in range(bounds[0], bounds[1]):
        size = neighbours_of(numbers, sessions, scratch, votes, queries, query)
        sort_best_first(near, size)
        for place in range(size):
            hits[place] = held_share(numbers, sessions, near[place]["slot"], queries, query)
        shapley(hits, size, bounds[2], values)
        for place in range(size):
            slot = near[place]["slot"]
            session = np.int64(key_of(newest, slot))
            days = max(0, (queries.at_ms[query] - newest.slots[slot]["at_ms"]) // DAY_MS)
            age = min(days, len(tally.by_age) - 1)
            tally.values[session] += values[place]
            tally.uses[session] += 1
            tally.by_age[age] += values[place]
            tally.uses_by_age[age] += 1


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


@kernel(void(KEY_TABLE, SESSIONS, SCRATCH, VOTES, QUERIES, int64[::1], int32[::1]), allocates=False)
def rank_targets(
    numbers: KeyTable, sessions: SessionTable, scratch: Scratch, votes: Votes, queries: Queries, bounds: Integers,
    ranks: npt.NDArray[np.int32],
) -> None:  # fmt: skip
    """Write the rank of the best target of some lists by the votes of sessions, from 1 on; 0 if none has a vote.

    The arguments are those of `add_values`; the scratch memory has room for the neighbours that vote.
    """
    for query in range(bounds[0], bounds[1]):
        size = neighbours_of(numbers, sessions, scratch, votes, queries, query)
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
