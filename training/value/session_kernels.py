"""KNN-Shapley values of sessions.

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
    SCRATCH,
    Rows,
    Scratch,
    find_neighbours,
    is_worse,
    move,
    open_lists,
)
from inference.kernels.session_table import SESSIONS, SessionTable
from inference.kernels.votes import VOTES, Votes
from inference.types import Keys

DAY_MS = 86_400_000

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


class Index(NamedTuple):
    """The sessions that vote, and scratch memory.

    Attributes:
        numbers: the numbers of items.
        sessions: the table as of the time of the lists.
        scratch: with room for as many neighbours as the kernel needs.
        votes: sums by item.
    """

    numbers: KeyTable
    sessions: SessionTable
    scratch: Scratch
    votes: Votes


class Span(NamedTuple):
    """The lists to compute, from `first` up to, but not including, `last`.

    Attributes:
        neighbours: number of sessions that vote, K.
        longest: length of a list; 0 if it does not matter.
    """

    first: int
    last: int
    neighbours: int
    longest: int = 0


SPAN = types.NamedUniTuple(int64, 4, Span)
INDEX = types.NamedTuple((KEY_TABLE, SESSIONS, SCRATCH, VOTES), Index)
QUERIES = types.NamedTuple((uint64[:, ::1], int32[::1], int64[::1], int64[::1], uint64[::1]), Queries)
TALLY = types.NamedTuple((float64[::1], int64[::1], float64[::1], int64[::1]), Tally)


@helper
def shapley(hits: Floats, size: int, neighbours: int, out: Floats) -> None:
    """Write the Shapley values of `size` players, the nearest first, to `out`."""
    if size == 0:
        return
    farthest = hits[size - 1]
    # The recursion divides by N − 1.
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
    # From the farthest player to the nearest: each value is that of the next player plus what its own hits change.
    for place in range(others - 1, -1, -1):
        rank = place + 1
        crowded = max(min(neighbours, rank) * others / rank - neighbours, 0.0) / neighbours
        out[place] = out[place + 1] + (hits[place] - hits[place + 1]) / others * (harmonic + crowded)


@helper
def sort_best_first(near: Rows, size: int) -> None:
    """Sort neighbours, the most similar first, of equal ones the newest (Shell's sort)."""
    # Rows are structured records, which a kernel cannot copy into a variable. The last row, beyond all neighbours, is
    # the place to put one aside.
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
def neighbours_of(index: Index, queries: Queries, query: int) -> int:
    """Write the neighbours of a list's session to the scratch memory, and return how many."""
    numbers, sessions, scratch, votes = index
    count = queries.lengths[query]
    for at in range(count):
        key = queries.items[query, at]
        # The same records that `session_items` makes from a shopper's query, so the source's own functions can be used.
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


@kernel(void(INDEX, QUERIES, SPAN, float64[:, ::1], TALLY), allocates=False)
def add_values(index: Index, queries: Queries, span: Span, work: Floats, tally: Tally) -> None:
    """Add the Shapley values of some lists to `tally`.

    Args:
        index: the sessions, with room for as many neighbours as are sampled.
        queries: the lists.
        span: the lists to add, and K.
        work: scratch memory (2, sampled).
        tally: receives the sums.
    """
    numbers, sessions, scratch, _ = index
    near, newest, hits, values = scratch.near, sessions.newest, work[0], work[1]
    for query in range(span.first, span.last):
        size = neighbours_of(index, queries, query)
        sort_best_first(near, size)
        for place in range(size):
            hits[place] = held_share(numbers, sessions, near[place]["slot"], queries, query)
        shapley(hits, size, span.neighbours, values)
        for place in range(size):
            slot = near[place]["slot"]
            session = np.int64(key_of(newest, slot))
            days = max(0, (queries.at_ms[query] - newest.slots[slot]["at_ms"]) // DAY_MS)
            age = min(days, len(tally.by_age) - 1)
            tally.values[session] += values[place]
            tally.uses[session] += 1
            tally.by_age[age] += values[place]
            tally.uses_by_age[age] += 1
