"""Basket kNN: votes of the shoppers whose sessions have what a shopper buys, see `inference/retrieval/basket.py`."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import HELD, KEY_TABLE, KeyTable, Numbers, find
from inference.kernels.session_knn import NEIGHBOUR, SHOPPERS, keep_best
from inference.kernels.session_table import SESSIONS, SessionTable
from inference.kernels.signatures import QUERIES
from inference.kernels.support import bit_of, bits_set
from inference.kernels.votes import RESULTS, UNTOUCHED, VOTES, Results, Votes, add_vote, write_hits
from inference.queries import Queries

UNREAD, LAST = -2, -1
"""In place of the next session of a shopper: the session was not read, or it is the shopper's last one."""

SIMILAR = np.dtype(
    [("weight", "<f8"), ("first", "<i4"), ("sessions", "<i4"), ("items", "<i4"), ("place", "<i4")], align=True
)
"""A shopper of whom sessions were read: the weight of the shared habits, the slot of the session read last, the number
of sessions that were read, that of their items, and the shopper's place in the order of reading."""


class Rules(NamedTuple):
    """The constants of `inference/retrieval/basket.py`.

    Attributes:
        newest: sessions of each item that are read.
        each: sessions of each shopper that are read.
        half_life_ms: the half-life of a vote by the session's age.
    """

    newest: int
    each: int
    half_life_ms: float


class Scratch(NamedTuple):
    """Rules and scratch memory of `vote_by_baskets`.

    Attributes:
        rules: the constants.
        shoppers: by the hash of a shopper, dtype SIMILAR (SHOPPERS,); no sessions between two queries.
        read: the shoppers of whom sessions were read, in this order, int32 (SHOPPERS,).
        next: by the slot of a session, that of the shopper's session read before it, int32 (slots,); UNREAD between
            two queries.
        near: the neighbours, dtype NEIGHBOUR (neighbours + 1,); the last entry is for a newcomer.
    """

    rules: Rules
    shoppers: npt.NDArray[np.void]
    read: Numbers
    next: Numbers
    near: npt.NDArray[np.void]


_RULES = types.NamedTuple((types.int64, types.int64, types.float64), Rules)
_SCRATCH = types.NamedTuple(
    (
        _RULES,
        numba.from_dtype(SIMILAR)[::1],
        types.int32[::1],
        types.int32[::1],
        numba.from_dtype(NEIGHBOUR)[::1],
    ),
    Scratch,
)


def scratch(rules: Rules, neighbours: int, slots: int) -> Scratch:
    """Return scratch memory for the greatest number of neighbours and for sessions with slots below `slots`."""
    return Scratch(
        rules,
        np.zeros(SHOPPERS, dtype=SIMILAR),
        np.zeros(SHOPPERS, dtype=np.int32),
        np.full(slots, UNREAD, dtype=np.int32),
        np.zeros(neighbours + 1, dtype=NEIGHBOUR),
    )


@helper
def read_sessions(query: np.void, numbers: KeyTable, sessions: SessionTable, scratch: Scratch) -> int:
    """Read the newest sessions of each habit, and add its weight to their shoppers; return how many shoppers there are.

    Of one shopper at most `each` sessions are read, so that nobody outweighs others by many sessions.
    """
    index, held = sessions.postings, sessions.newest.table.sizes[HELD]
    rules, shoppers = scratch.rules, scratch.shoppers
    count = 0
    for habit in range(query["habits_length"]):
        item = find(numbers, query["habits"][habit])
        # Other sources share the table of numbers, so it may have grown since the lists last did.
        if item < 0 or item >= len(index.lists) or index.lists[item]["length"] == 0:
            continue
        entry = index.lists[item]
        weight = np.float64(query["habit_weights"][habit]) * np.log1p(held / max(1, entry["records"]))
        if not weight > 0.0:  # a habit that has decayed to 0; votes are divided by the sum of all weights
            continue
        end = entry["start"] + entry["length"]
        # Lists are sorted by time, oldest first.
        for place in range(end - 1, max(entry["start"], end - rules.newest) - 1, -1):
            slot = index.values[place]
            number = sessions.shoppers[slot]
            shopper = shoppers[number]
            # The first habit that a session has reads it, and later habits of the same session only add their weights.
            # A session beyond the shopper's limit is not read and adds nothing.
            if scratch.next[slot] == UNREAD:
                if shopper["sessions"] == rules.each:
                    continue
                if shopper["sessions"] == 0:
                    shopper["weight"], shopper["items"], shopper["first"] = 0.0, 0, LAST
                    shopper["place"] = count
                    scratch.read[count] = number
                    count += 1
                # The sessions of a shopper are a linked list through `next`. The session read last is at its head.
                scratch.next[slot] = shopper["first"]
                shopper["first"] = slot
                shopper["sessions"] += 1
                shopper["items"] += sessions.lengths[slot]
            shopper["weight"] += weight
    return count


@helper
def find_shoppers(count: int, scratch: Scratch) -> int:
    """Find the most similar shoppers among those of whom sessions were read; return how many there are.

    The similarity is a cosine without the norm of the query, which is the same for all. Of equally similar shoppers the
    one who was read first is nearer.
    """
    size, near = 0, scratch.near
    fresh = near[len(near) - 1]
    for place in range(count):
        shopper = scratch.shoppers[scratch.read[place]]
        # `slot` holds the hash of a shopper here. `keep_best` reads only `similarity` and `age`, so `key` stays unset.
        fresh["similarity"] = shopper["weight"] / np.sqrt(np.float64(max(1, shopper["items"])))
        fresh["slot"], fresh["age"] = scratch.read[place], place
        size = keep_best(near, size)
    return size


@helper
def add_votes(sessions: SessionTable, size: int, scratch: Scratch, votes: Votes) -> int:
    """Add up the votes of the neighbours for the items of their sessions; return how many items have votes.

    A neighbour's vote is its share of all similarity. Its sessions divide the vote by their ages: half for each
    half-life. The votes of an item with too few distinct shoppers behind them do not count.
    """
    slots, near, half_life_ms = sessions.newest.slots, scratch.near, scratch.rules.half_life_ms
    total = 0.0
    for place in range(size):
        total += near[place]["similarity"]
    touched = 0
    for place in range(size):
        number = near[place]["slot"]
        first, shopper = scratch.shoppers[number]["first"], bit_of(number)
        # Ages are relative to the neighbour's newest session, so that no power of 2 becomes 0 for all of them.
        latest, slot = slots[first]["at_ms"], first
        while slot != LAST:
            latest = max(latest, slots[slot]["at_ms"])
            slot = scratch.next[slot]
        whole, slot = 0.0, first
        while slot != LAST:
            whole += 2.0 ** ((slots[slot]["at_ms"] - latest) / half_life_ms)
            slot = scratch.next[slot]
        part, slot = near[place]["similarity"] / total / whole, first
        while slot != LAST:
            share = part * 2.0 ** ((slots[slot]["at_ms"] - latest) / half_life_ms)
            for at in range(sessions.lengths[slot]):
                item = sessions.items[slot, at]
                # The shoppers of an item without a sum are those of an earlier query.
                if votes.sums[item] < 0:
                    votes.shoppers[item] = 0
                votes.shoppers[item] |= shopper
                touched = add_vote(votes, touched, item, share)
            slot = scratch.next[slot]
    for at in range(touched):
        if bits_set(votes.shoppers[votes.touched[at]]) < sessions.bounds.min_shoppers:
            votes.sums[votes.touched[at]] = UNTOUCHED
    return touched


@helper
def forget_sessions(count: int, scratch: Scratch) -> None:
    """Reset the scratch memory of the sessions and shoppers that were read."""
    for place in range(count):
        shopper = scratch.shoppers[scratch.read[place]]
        slot = shopper["first"]
        while slot != LAST:
            following = scratch.next[slot]
            scratch.next[slot] = UNREAD
            slot = following
        shopper["sessions"] = 0


@kernel(types.void(QUERIES, KEY_TABLE, SESSIONS, _SCRATCH, VOTES, RESULTS), allocates=False)
def vote_by_baskets(
    queries: Queries,
    numbers: KeyTable,
    sessions: SessionTable,
    scratch: Scratch,
    votes: Votes,
    results: Results,
) -> None:
    """Write the items of the shoppers whose sessions have most of what each query's shopper buys."""
    for query in range(len(queries)):
        count = read_sessions(queries[query], numbers, sessions, scratch)
        size = find_shoppers(count, scratch)
        touched = add_votes(sessions, size, scratch, votes)
        forget_sessions(count, scratch)
        write_hits(votes, touched, 0, results, query)
