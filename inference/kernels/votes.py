"""Shared steps of the behaviour sources: numbers of items, the items of a query's session, and sums of votes."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import KeyNumbers, KeyTable, Numbers, find
from inference.kernels.selection import select
from inference.types import Keys, Vector

EVIDENCE = 10
"""Number of the newest items of a session that count. Older items hardly predict the next one, and cost as much."""
UNTOUCHED = -1.0

SESSION_ITEM = np.dtype([("key", "<u8"), ("weight", "<f8"), ("item", "<i4"), ("slot", "<i4")], align=True)


class Votes(NamedTuple):
    """Scratch memory for one query: sums by item number, and the items of its session.

    Attributes:
        sums: float64 (capacity,); UNTOUCHED between two queries.
        touched: the numbers that have a sum, int32 (capacity,).
        session: the items of the session, see `session_items`, dtype SESSION_ITEM (EVIDENCE,): the key and the number
            of each, -1 without one; the slot of its record, and the weight of its votes.
        shoppers: the shoppers who vote for an item (`support.py`), uint64 (capacity,); only where the item has a sum.
        rows, scores: rows of the catalogue and their scores, before the best are selected, int32 and float32
            (capacity,).
    """

    sums: npt.NDArray[np.float64]
    touched: Numbers
    session: npt.NDArray[np.void]
    shoppers: Keys
    rows: Numbers
    scores: Vector


class Results(NamedTuple):
    """The arrays that receive hits, and the items that may be one.

    Attributes:
        row_of: the catalogue's row of each item number, int32 (capacity,); -1 for an item that it lacks.
        available: whether the item of each row may be recommended, bool (rows,).
        keys: the stable key of each row, uint64 (rows,).
        rows: int32 (queries, sources, limit), best first.
        scores: float32 (queries, sources, limit).
        counts: int32 (queries, sources).
        place: the source's place among the sources.
    """

    row_of: Numbers
    available: npt.NDArray[np.bool_]
    keys: Keys
    rows: Numbers
    scores: Vector
    counts: Numbers
    place: int


VOTES = types.NamedTuple(
    (
        types.float64[::1],
        types.int32[::1],
        numba.from_dtype(SESSION_ITEM)[::1],
        types.uint64[::1],
        types.int32[::1],
        types.float32[::1],
    ),
    Votes,
)
RESULTS = types.NamedTuple(
    (
        types.int32[::1],
        types.boolean[::1],
        types.uint64[::1],
        types.int32[:, :, ::1],
        types.float32[:, :, ::1],
        types.int32[:, ::1],
        types.int64,
    ),
    Results,
)


def votes(capacity: int) -> Votes:
    """Return scratch memory for item numbers below `capacity`."""
    return Votes(
        np.full(capacity, UNTOUCHED),
        np.zeros(capacity, dtype=np.int32),
        np.zeros(EVIDENCE, dtype=SESSION_ITEM),
        np.zeros(capacity, dtype=np.uint64),
        np.zeros(capacity, dtype=np.int32),
        np.zeros(capacity, dtype=np.float32),
    )


@helper
def session_items(query: np.void, numbers: KeyTable, most: int, session: npt.NDArray[np.void]) -> int:
    """Write the newest distinct items of a query's session, at most `most`, to `session`; return how many.

    At the start of a session these are the items remembered from earlier ones. An item without a number is -1 and takes
    a place as well.
    """
    in_session = query["session_length"] > 0
    length = query["session_length"] if in_session else query["recent_length"]
    count = 0
    for at in range(length):
        if count == most:
            break
        key = query["session"][at] if in_session else query["recent"][at]
        # A session repeats items. Each counts once, at its newest place: a scan of so few entries costs less than a
        # table.
        known = False
        for other in range(count):
            known = known or session[other]["key"] == key
        if not known:
            session[count]["key"], session[count]["item"] = key, find(numbers, key)
            count += 1
    return count


@helper
def add_vote(votes: Votes, touched: int, item: int, weight: float) -> int:
    """Add a weight, 0 or more, to an item's sum; return how many items have a sum."""
    held = votes.sums[item]
    if held < 0:
        votes.sums[item] = weight
        votes.touched[touched] = item
        return touched + 1
    votes.sums[item] = held + weight
    return touched


@helper
def write_hits(votes: Votes, touched: int, count: int, results: Results, query: int) -> None:
    """Write the best available items by their sums, capped at 1, and reset the sums.

    The `count` items of the session are left out.
    """
    for at in range(count):
        # This also resets the sums of the session's items, which the loop below skips.
        item = votes.session[at]["item"]
        if item >= 0:
            votes.sums[item] = UNTOUCHED
    rows, scores, size = votes.rows, votes.scores, 0
    for at in range(touched):
        item = votes.touched[at]
        total = votes.sums[item]
        # An item of the session, or one without enough shoppers, has no sum any more.
        if total < 0:
            continue
        votes.sums[item] = UNTOUCHED
        row = results.row_of[item]
        if row >= 0 and results.available[row]:
            rows[size], scores[size] = row, np.float32(min(total, 1.0))
            size += 1
    to_rows, to_scores = results.rows[query, results.place], results.scores[query, results.place]
    results.counts[query, results.place] = select(results.keys, rows, scores, size, to_rows, to_scores)


@kernel(types.void(types.int32[::1], types.float64[::1], VOTES, RESULTS, types.int64), allocates=False)
def write_votes(items: Numbers, weights: npt.NDArray[np.float64], votes: Votes, results: Results, query: int) -> None:
    """Add up the `weights` (n,) of `items` (n,), which may repeat, and write the hits of one query."""
    touched = 0
    for at in range(len(items)):
        touched = add_vote(votes, touched, items[at], weights[at])
    write_hits(votes, touched, 0, results, query)


class ItemNumbers(KeyNumbers):
    """Numbers of items, shared by the learned behaviour and all catalogues.

    Attributes:
        votes: scratch memory by item number, for the sources that add up votes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.votes: Votes = votes(self.capacity)

    def reserve(self, more: int) -> None:
        """Grow the table and the scratch memory, if necessary, to hold `more` items."""
        super().reserve(more)
        if len(self.votes.sums) < self.capacity:
            self.votes = votes(self.capacity)
